/** The listener leaves requests on the chain while too much is under way, and forgets none of them. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { detectedActor } from "../../actors/1-detected.actor.ts"
import { GO_ON, HOLD, mustWait } from "../../actors/runtime/backpressure.ts"
import { fiberLeaseKeeper } from "../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { RequestLog, type ReadBlock } from "../../src/journey/1-detected/request-log.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { RequestLedger, type Workload } from "../../src/ledger/request-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { withOver } from "../actors/support/actor-world.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { aRequest } from "../journey/a-request.ts"
import { aChainId, random32 } from "../support/ledger-world.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"

let world: MemoryLedgerWorld
beforeEach(async () => void (world = await openMemoryLedgerWorld()))
afterEach(() => world.close())

const CALM: Workload = { underWay: 10, owed: 0, oldestOwedMs: 0 }

describe("whether the listener has to wait", () => {
  test.each(["underWay", "owed", "oldestOwedMs"] as const)("begins above one bound of %s and ends below another", (what) => {
    expect(mustWait(false, CALM)).toBe(false)
    expect(mustWait(false, { ...CALM, [what]: HOLD[what] - 1 })).toBe(false)
    expect(mustWait(false, { ...CALM, [what]: HOLD[what] })).toBe(true)
    expect(mustWait(true, { ...CALM, [what]: HOLD[what] - 1 })).toBe(true)
    expect(mustWait(true, { ...CALM, [what]: GO_ON[what] - 1 })).toBe(false)
  })
})

/** A chain with a request in every block. */
const chainOf = (length: number) => {
  const chainId = aChainId()
  const blocks: Array<ReadBlock> = []
  for (let number = 0; number < length; number++) {
    const facts = aRequest({ chainId })
    const hash = random32()
    const request = { id: requestIdOf(facts), facts, anchor: { blockNumber: number, blockHash: hash, logIndex: 0 } }
    blocks.push({ number, hash, parentHash: blocks.at(-1)?.hash ?? random32(), timestamp: number, requests: [request] })
  }
  const block = (number: number) => Effect.sync(() => blocks[number])
  const log: RequestLog["Service"] = {
    chainId,
    nextHead: Effect.never,
    latest: Effect.sync(() => blocks.at(-1)!),
    finalized: Effect.sync(() => blocks[0]!),
    finalAt: () => Effect.succeed([]),
    readBlock: block,
    readElsewhere: block,
    headAt: block
  }
  return { blocks, log }
}

test("a listener reads nothing while too much is under way, says so once, and then reads everything", () => {
  const telemetry = heardTelemetry()
  const { blocks, log } = chainOf(5)
  const published: Array<string> = []
  const bus = Bus.of({
    publish: (subject) => Effect.sync(() => void published.push(subject)),
    consume: () => Effect.void,
    ping: Effect.void
  })
  let load: Workload = { ...CALM, owed: HOLD.owed }
  return world.run(
    Effect.gen(function* () {
      const ledger = yield* DetectionLedger
      yield* detectedActor({ worker: "listener", startBlock: 0, pollMs: 500, isElected: false }).pipe(
        Effect.provideService(RequestLog, log),
        withOver(RequestLedger, () => ({ workload: () => Effect.sync(() => load) }))
      )
      yield* TestClock.adjust(30_000)
      expect(yield* ledger.cursor(log.chainId)).toBeUndefined()
      expect(telemetry.warnings.map(({ what }) => what)).toEqual(["the listener waits: too much is under way"])
      load = { ...CALM, owed: GO_ON.owed - 1, oldestOwedMs: 5_000 }
      yield* world.eventually("all blocks are read", Effect.map(ledger.cursor(log.chainId), (cursor) => cursor?.number === 4))
      const ids = blocks.flatMap(({ requests }) => requests.map(({ id }) => id))
      expect(yield* RequestLedger.use((requests) => requests.load(ids))).toHaveLength(5)
      // Others wait for their turn: coordinators give these out as well.
      expect(published).toEqual([])
      expect(yield* RequestLedger.use((requests) => requests.workload(3))).toMatchObject({ underWay: 3, owed: 5 })
    }).pipe(Effect.scoped, Effect.provideService(Bus, bus), Effect.provide(fiberLeaseKeeper()), Effect.provide(telemetry.layer))
  )
})
