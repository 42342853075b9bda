/** The checks of signed bytes: each is shown a ledger and a chain in which one thing is wrong, and has to say so. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { LaneTx, SimBlock } from "../../chaos/simulator/chain/sim-block.ts"
import { laneSlotTable, laneTable, txAttemptTable } from "../../chaos/simulator/ledger/tables.ts"
import { watchForgetting, watchIntents, type Watched } from "../../chaos/simulator/signed-bytes.ts"
import { NO_BATCH } from "../../src/ledger/lane-ledger.port.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"
import { word } from "../verify/true-records.ts"

const CHAIN_ID = 1n
const FROM = word(1)
const LANE = `${CHAIN_ID}/${FROM}`
const block = (number: number, nextNonce: number, parent?: SimBlock) =>
  ({ number, parent, state: { nonces: new Map([[FROM, nextNonce]]) } as Partial<SimBlock["state"]> }) as SimBlock

let ledger: MemoryLedgerWorld
let world: Watched
beforeEach(async () => {
  ledger = await openMemoryLedgerWorld()
  // Of the two newest blocks the first is final: nonce 0 is used up for ever, nonce 1 may be free again.
  const head = block(2, 2, block(1, 1))
  world = { database: ledger.database, chain: { head, finalizedNumber: 1 }, onBroadcast: () => undefined }
})
afterEach(() => ledger.close())

const hashAt = (nonce: number) => word(100 + nonce)
const send = (nonce: number) => world.onBroadcast({ hash: hashAt(nonce), nonce, from: FROM } as LaneTx)
const store = (nonce: number) =>
  ledger.database.transact(({ table }) => {
    const at = { chainId: CHAIN_ID, address: FROM, nonce, root: NO_BATCH }
    if (table(laneTable).get(LANE) === undefined) table(laneTable).insert({ chainId: CHAIN_ID, address: FROM, nextNonce: 9, forgottenBelow: 0 })
    table(laneSlotTable).insert({ ...at, version: 1, snapshot: "{}", isFinal: false, finalAtMs: 0 })
    const price = { gasLimit: 1n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n, isCancellation: false, signedAtMs: 0 }
    table(txAttemptTable).insert({ ...at, ...price, attemptNo: 0, txHash: hashAt(nonce), rawTx: "0x02" })
  })
const empty = (nonce: number) =>
  ledger.database.transact(({ table }) => {
    table(laneSlotTable).update(`${LANE}/${nonce}`, (row) => ({ ...row, isFinal: true }))
    table(txAttemptTable).update(`${LANE}/${nonce}/0`, (row) => ({ ...row, rawTx: "0x" }))
  })
const forget = (nonce: number) => {
  empty(nonce)
  ledger.database.transact(({ table }) => {
    table(laneSlotTable).delete(`${LANE}/${nonce}`)
    table(laneTable).update(LANE, (row) => ({ ...row, forgottenBelow: nonce + 1 }))
    table(txAttemptTable).delete(`${LANE}/${nonce}/0`)
  })
}

describe("intent before effect", () => {
  const unknown = (nonce: number) => [`${hashAt(nonce)} (nonce ${nonce} of ${FROM}) was sent, and the ledger did not know it`]

  test("holds for bytes that are stored, that a promoted standby lacks by now, or that are forgotten", () => {
    const check = watchIntents(world)
    const before = ledger.database.copy()
    store(0)
    send(0)
    ledger.database.promote(before)
    send(0)
    store(0)
    forget(0)
    send(0)
    expect(check()).toEqual({ name: "intent before effect", examined: 3, violations: [] })
  })

  test("is violated by bytes that were sent before they were stored", () => {
    const check = watchIntents(world)
    send(0)
    store(0)
    expect(check().violations).toEqual(unknown(0))
  })

  test("is violated by bytes that nobody ever stored, though their nonce is forgotten", () => {
    const check = watchIntents(world)
    store(1)
    forget(1)
    send(0)
    expect(check().violations).toEqual(unknown(0))
  })

  test("is violated by bytes of a statement that was refused half-way", () => {
    const check = watchIntents(world)
    store(0)
    expect(() =>
      ledger.database.transact(({ table }) => {
        table(txAttemptTable).insert({ ...table(txAttemptTable).get(`${LANE}/0/0`)!, attemptNo: 1, txHash: hashAt(5) })
        table(laneTable).insert(table(laneTable).get(LANE)!)
      })
    ).toThrow()
    send(5)
    expect(check().violations).toEqual(unknown(5))
  })
})

describe("forgotten when final", () => {
  test("holds for what a final block has used, and for what a copy takes back", () => {
    const check = watchForgetting(world)
    const before = ledger.database.copy()
    store(0)
    store(1)
    forget(0)
    ledger.database.promote(before)
    expect(check()).toEqual({ name: "forgotten when final", examined: 1, violations: [] })
  })

  test("is violated by bytes whose nonce may be free again", () => {
    const check = watchForgetting(world)
    store(1)
    empty(1)
    expect(check().violations).toEqual([`${hashAt(1)} (nonce 1 of ${FROM}) was forgotten, and the next nonce is 1 in the last final block`])
  })
})
