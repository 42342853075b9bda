/** Results that make their transaction fail: whoever shares a batch with one gets to the chain all the same, and pays for no more than one failure. */
import { Exit } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { SPEND_BUDGET } from "../../../actors/runtime/lane-health.ts"
import { REJECTIONS_MAX, REVERTS_MAX } from "../../../actors/runtime/lane-sending.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import { partNameOf } from "../../../src/domain/response.ts"
import { TOO_MUCH_GAS } from "../../../src/journey/6-submitted/result-contract.port.ts"
import { FAILURE_PAUSE_LONGEST_MS, LaneLedger } from "../../../src/ledger/lane-ledger.port.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../../support/memory-ledger-world.ts"
import { LaneWorld } from "../support/lane-world.ts"
import { COST } from "../support/submission-chain.ts"

let world: MemoryLedgerWorld
beforeAll(async () => void (world = await openMemoryLedgerWorld()))
afterAll(() => world.close())

const succeeded = (exit: Exit.Exit<unknown, unknown>): void => expect(Exit.isSuccess(exit), JSON.stringify(exit)).toBe(true)

interface Shared {
  readonly lane: LaneWorld
  readonly root: Hex
  readonly requesters: ReadonlyArray<Hex>
  readonly ids: ReadonlyArray<RequestId>
  /** What each result is called when it goes alone. */
  readonly names: ReadonlyArray<Hex>
}

/** A batch with the results of so many requesters. */
const aSharedBatch = async (count = 4): Promise<Shared> => {
  const lane = new LaneWorld(world)
  const requesters = Array.from({ length: count }, () => lane.requester())
  const root = await lane.queueFor(...requesters)
  const ids = lane.batches.get(root)!.responses.map(({ requestId }) => requestId)
  return { lane, root, requesters, ids, names: ids.map((id) => partNameOf(root, id)) }
}

/** Sends, mines, finalises, and waits until whatever failed may be tried again. */
const turn = async (lane: LaneWorld): Promise<void> => {
  succeeded(await lane.round())
  lane.chain.mine()
  succeeded(await lane.round())
  lane.chain.finalise()
  succeeded(await lane.round())
  await lane.later(FAILURE_PAUSE_LONGEST_MS)
}

const guiltyOf = ({ givenUp }: LaneWorld) => new Set(givenUp.flatMap(({ batch }) => batch.responses.map(({ requestId }) => requestId)))
const isOnChain = ({ chain }: LaneWorld, id: RequestId): boolean => chain.whereFulfilled(id) !== undefined
const spentBy = (lane: LaneWorld, requester: Hex): Promise<boolean> =>
  lane.run(LaneLedger.use((ledger) => ledger.spending(lane.lane, SPEND_BUDGET.windowMs * 10, COST))).then(({ overBudget }) => overBudget.has(requester))

describe("a result that makes every transaction revert that carries it", () => {
  test("takes its neighbours down once, then goes alone, and is given up alone after a bounded number of tries", async () => {
    const { lane, root, ids, names } = await aSharedBatch()
    const [, poisoned] = ids
    lane.chain.poisoned.add(poisoned!)
    await turn(lane)
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root }])
    await turn(lane)
    expect(lane.telemetry.counted("batches_split")).toBe(1)
    expect(lane.telemetry.warnings).toMatchObject([{ what: "a batch is sent result by result", data: { root } }])
    for (const id of ids) expect(isOnChain(lane, id)).toBe(id !== poisoned)
    for (let more = 0; more < REVERTS_MAX + 2; more++) await turn(lane)
    const attempts = lane.chain.broadcasts.filter((sent) => sent.root === names[1]).length
    expect(attempts, "what its batch had failed is counted").toBe(REVERTS_MAX - 1)
    expect(guiltyOf(lane)).toEqual(new Set([poisoned]))
    expect(lane.givenUp[0]).toMatchObject({ reason: "fulfilment-reverts" })
    expect(lane.chain.broadcasts.filter((sent) => sent.root === root), "the batch is never sent whole again").toHaveLength(1)
  })

  test("is paid for by whoever asked for it: neighbours share one failure, and pay for their own result", async () => {
    const { lane, requesters, ids } = await aSharedBatch(2)
    lane.chain.poisoned.add(ids[0]!)
    for (let more = 0; more < REVERTS_MAX + 1; more++) await turn(lane)
    const { overBudget } = await lane.run(LaneLedger.use((ledger) => ledger.spending(lane.lane, SPEND_BUDGET.windowMs * 10, COST + COST / 2n)))
    expect(overBudget).toEqual(new Set([requesters[0]]))
    expect(await spentBy(lane, requesters[1]!), "half a failure and one result").toBe(true)
  })

  test("waits alone when its requester has spent too much; its neighbours do not", async () => {
    const { lane, ids, names } = await aSharedBatch(2)
    const [poisoned, neighbour] = ids
    lane.budget = { ...SPEND_BUDGET, windowMs: SPEND_BUDGET.windowMs * 10, requester: COST * 2n }
    lane.chain.poisoned.add(poisoned!)
    for (let more = 0; more < REVERTS_MAX + 4; more++) await turn(lane)
    expect(isOnChain(lane, neighbour!)).toBe(true)
    expect(await lane.waiting()).toMatchObject([{ root: names[0], reason: "requester-over-budget" }])
    expect(lane.givenUp).toEqual([])
  })

  test("is told from a batch that everybody's results have left already, though the process dies while it is split", async () => {
    const { lane, root, ids, names } = await aSharedBatch(3)
    lane.chain.poisoned.add(ids[2]!)
    await turn(lane)
    lane.death = "after split"
    expect(Exit.isSuccess(await lane.round())).toBe(false)
    expect(await lane.waiting()).toMatchObject(names.map((name) => ({ root: name, failures: 1 })))
    await lane.enqueue(lane.batches.get(root)!) // the sweeper gives out the work of step 6 again
    expect(await lane.waiting(), "whoever asks for the batch asks for its parts").toHaveLength(3)
    for (let more = 0; more < REVERTS_MAX + 2; more++) await turn(lane)
    expect(ids.map((id) => isOnChain(lane, id))).toEqual([true, true, false])
    expect(guiltyOf(lane)).toEqual(new Set([ids[2]]))
  })
})

describe("a result that makes every estimate fail", () => {
  test("costs its neighbours nothing: each goes alone at once, and it is given up when it was rejected often enough", async () => {
    const { lane, ids, names } = await aSharedBatch()
    lane.chain.rejection = TOO_MUCH_GAS
    lane.chain.unestimable.add(ids[0]!)
    await turn(lane)
    expect(ids.map((id) => isOnChain(lane, id))).toEqual([false, true, true, true])
    expect(await lane.waiting()).toMatchObject([{ root: names[0], reason: `rejected: ${TOO_MUCH_GAS}`, rejections: 1 }])
    for (let more = 0; more < REJECTIONS_MAX; more++) {
      expect(lane.givenUp).toEqual([])
      await turn(lane)
    }
    expect(guiltyOf(lane)).toEqual(new Set([ids[0]]))
    expect(lane.givenUp[0]).toMatchObject({ reason: "fulfilment-rejected", detail: expect.stringContaining(TOO_MUCH_GAS) })
    expect(lane.chain.broadcasts).toHaveLength(3)
  })

  test("does not split a batch whose attestation the contract rejects: alone they would fare no better", async () => {
    const { lane, root, ids } = await aSharedBatch()
    lane.chain.unestimable.add(ids[0]!)
    for (let more = 0; more < REJECTIONS_MAX + 2; more++) await turn(lane)
    expect(await lane.waiting()).toMatchObject([{ root, rejections: 0, reason: "rejected: InvalidAttestation" }])
    expect([lane.givenUp, lane.chain.broadcasts]).toEqual([[], []])
  })

  test("leaves alone what has been answered meanwhile", async () => {
    const { lane, ids, names } = await aSharedBatch(3)
    lane.chain.rejection = TOO_MUCH_GAS
    lane.chain.unestimable.add(ids[0]!)
    lane.chain.fulfilledByOthers(ids[1]!)
    await turn(lane)
    expect(lane.chain.broadcasts).toMatchObject([{ root: names[2] }])
  })
})

test("a batch about which no endpoint answers keeps none of those waiting that stand behind it", async () => {
  const lane = new LaneWorld(world)
  const [mute, ...others] = await lane.queue(3)
  lane.chain.unanswerable.add(mute!)
  expect(Exit.isSuccess(await lane.round())).toBe(false)
  succeeded(await lane.round())
  expect(lane.chain.broadcasts.map(({ root }) => root).toSorted()).toEqual(others.toSorted())
  expect(await lane.waiting()).toMatchObject([{ root: mute, reason: "chain-unavailable" }])
})
