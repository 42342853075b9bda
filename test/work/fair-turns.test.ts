/** Somebody asks for two thousand decryptions at once and somebody else for one. In virtual time, on the real coordinator and sweeper and the ledger
 * in memory, with workers that have so many hands and no more. */
import { Clock, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { coordinator, type Coordinator } from "../../actors/coordinator.actor.ts"
import { announceBorn } from "../../actors/1-detected.actor.ts"
import { ownPartitions } from "../../actors/runtime/partitions.ts"
import { makePauses, Pauses } from "../../actors/runtime/pauses.ts"
import { sweeper } from "../../actors/sweeper.actor.ts"
import { birth, MACHINE_VERSION } from "../../machines/decide.ts"
import { fiberLeaseKeeper } from "../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { isEnd, JOURNEY, type Milestone, workSubject } from "../../src/domain/journey.ts"
import { PARTITIONS } from "../../src/domain/limits.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import { partitionOf, type RequestId } from "../../src/domain/request.ts"
import { DetectionLedger, type SeenRequest } from "../../src/ledger/detection-ledger.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { decodeWork } from "../../src/messaging/envelope.ts"
import { facts } from "../actors/support/actor-world.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { aBlock, aChainId, aSeenRequest, inOneHour, randomAddress } from "../support/ledger-world.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"

const HANDS = 50
const STEP_MS = 250
/** What HANDS do at STEP_MS. */
const PER_SECOND = (HANDS * 1_000) / STEP_MS
const HERD = 2_000
/** Steps up to a verified result. */
const STEPS = 4
const LOOK_MS = 50

let world: MemoryLedgerWorld
beforeEach(async () => void (world = await openMemoryLedgerWorld()))
afterEach(() => world.close())

const EVENTS: Readonly<Partial<Record<Milestone, () => RequestEvent>>> = {
  detected: facts["acl-checked"],
  "acl-checked": facts["ciphertext-fetched"],
  "ciphertext-fetched": facts["shares-collected"],
  "shares-collected": facts["threshold-verified"]
}

/** A bus that hands every step's work to its workers in order, and workers with HANDS hands for each step. Those of lanes do not work. */
const workers = Effect.fnUntraced(function* () {
  const lines = new Map<string, Queue.Queue<{ readonly requestId: RequestId; readonly version: number }>>()
  for (const reached of JOURNEY) lines.set(reached, yield* Queue.unbounded<{ readonly requestId: RequestId; readonly version: number }>())
  let longest = 0
  const bus = Bus.of({
    publish: (subject, body) =>
      Effect.gen(function* () {
        const line = lines.get(subject.split(".")[1]!)!
        yield* Queue.offerAll(line, (yield* Effect.orDie(decodeWork(body))).items)
        if (subject !== workSubject("threshold-verified")) longest = Math.max(longest, yield* Queue.size(line))
      }),
    consume: () => Effect.void,
    ping: Effect.void
  })
  const start = Effect.fnUntraced(function* ({ tell }: Coordinator) {
    for (const [reached, fact] of Object.entries(EVENTS)) {
      const hand = Effect.gen(function* () {
        const item = yield* Queue.take(lines.get(reached)!)
        yield* Effect.sleep(STEP_MS)
        yield* tell([{ ...item, event: fact() }])
      })
      for (let index = 0; index < HANDS; index++) yield* Effect.forkScoped(Effect.forever(hand))
    }
  })
  return { bus, start, longest: () => longest }
})

/** Requests of one requester in one block of a chain of their own, announced as a listener does it. */
const ask = Effect.fnUntraced(function* (count: number, requester: Hex, deadline = inOneHour()) {
  const block = aBlock(1)
  const chainId = aChainId()
  const requests = Array.from({ length: count }, (): SeenRequest => {
    const seen = aSeenRequest(block, { chainId, requester, deadline })
    return { ...seen, partition: partitionOf(seen.id, PARTITIONS), snapshot: birth(seen.anchor).snapshot, machineVersion: MACHINE_VERSION }
  })
  const detection = yield* DetectionLedger
  const { born } = yield* detection.advance({
    ...{ chainId, expected: null, ancestor: 0, blocks: [block], requests, keepFrom: 0, worker: "listener", lease: null }
  })
  yield* announceBorn(born, [{ ...block, requests: requests.map(({ id, facts, anchor }) => ({ id, facts, anchor })) } as never])
  return requests.map(({ id }) => id)
})

/** Lets time pass until everything of these is verified or has ended; answers how long that took. */
const passUntilVerified = Effect.fnUntraced(function* (ids: ReadonlyArray<RequestId>, mostMs: number) {
  const ledger = yield* RequestLedger
  const sinceMs = yield* Clock.currentTimeMillis
  const isOpen = ({ state }: { readonly state: string }) => state !== "threshold-verified" && !isEnd(state as never)
  const left = [...ids]
  for (;;) {
    while (left.length > 0 && !(yield* ledger.load(left.slice(-1))).some(isOpen)) left.pop()
    if (left.length === 0) return (yield* Clock.currentTimeMillis) - sinceMs
    assert((yield* Clock.currentTimeMillis) - sinceMs < mostMs, `not within ${mostMs} ms`)
    yield* TestClock.adjust(LOOK_MS)
  }
})

const inOneNode = <A, E>(
  program: (crew: { readonly longest: () => number }) => Effect.Effect<A, E, any>
): Promise<A> => {
  const telemetry = heardTelemetry()
  return world.run(
    Effect.gen(function* () {
      const crew = yield* workers()
      const whole = Effect.gen(function* () {
        const decides = yield* coordinator("one", yield* ownPartitions("one"))
        yield* sweeper(decides)
        yield* crew.start(decides)
        return yield* program({ longest: crew.longest })
      })
      return yield* whole.pipe(Effect.provideService(Bus, crew.bus), Effect.provideService(Pauses, makePauses().view))
    }).pipe(Effect.scoped, Effect.provide(fiberLeaseKeeper()), Effect.provide(telemetry.layer)) as Effect.Effect<A, E, never>
  )
}

describe("when somebody asks for two thousand decryptions in one block", () => {
  test("somebody else's one is hardly slower than at rest, and the others are as fast as the workers allow", () =>
    inOneNode(({ longest }) =>
      Effect.gen(function* () {
        const atRestMs = yield* passUntilVerified(yield* ask(1, randomAddress()), 10_000)
        expect(atRestMs).toBeLessThan(STEPS * STEP_MS + 500)
        const herd = yield* ask(HERD, randomAddress())
        yield* TestClock.adjust(2_000)
        const inTheHerdMs = yield* passUntilVerified(yield* ask(1, randomAddress()), 60_000)
        expect(inTheHerdMs).toBeLessThan(3 * atRestMs)
        const allMs = yield* passUntilVerified(herd, 120_000)
        expect(inTheHerdMs + 2_000 + allMs).toBeLessThan(1.5 * (HERD / PER_SECOND) * 1_000 + STEPS * STEP_MS)
        // Memory and the bus hold what is given out, not what is asked.
        expect(longest()).toBeLessThan(HERD / 4)
      })
    ))

  test("nobody is taken for poison because of the wait, and who is too late ends as expired", () =>
    inOneNode(() =>
      Effect.gen(function* () {
        const nowSeconds = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
        const herd = yield* ask(HERD / 2, randomAddress(), nowSeconds + 3)
        yield* passUntilVerified(herd, 60_000)
        const ledger = yield* RequestLedger
        const ended = Map.groupBy(yield* ledger.load(herd), ({ state }) => state)
        expect([...ended.keys()].toSorted()).toEqual(["expired", "threshold-verified"])
        // 3 s of work for 200 in a second, less what lies in the steps between.
        expect(ended.get("threshold-verified")!.length).toBeGreaterThan(0.5 * 3 * PER_SECOND)
        const history = yield* ledger.history(ended.get("expired")![0]!.id)
        expect(history.at(-1)?.event.type).toBe("expired")
      })
    ))
})
