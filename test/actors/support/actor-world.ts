/** What actors stand on: a real ledger, the real in-process bus, and telemetry that remembers. Services can be made to fail
 * for one test. */
import assert from "node:assert/strict"
import { type Context, Effect, type Scope } from "effect"
import { setTimeout as pause } from "node:timers/promises"
import { birth, decide, MACHINE_VERSION } from "../../../machines/decide.ts"
import { fiberLeaseKeeper } from "../../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { inProcessBus } from "../../../src/adapters/embedded/in-process-bus.layer.ts"
import type { Ledger } from "../../../src/adapters/postgres/ledger.layer.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import { outcomeSubject, workSubject, type Milestone } from "../../../src/domain/journey.ts"
import { PARTITIONS } from "../../../src/domain/limits.ts"
import type { OutcomeItem, RequestEvent, WorkItem } from "../../../src/domain/outcome.ts"
import type { DecryptionRequest, RequestId } from "../../../src/domain/request.ts"
import { DetectionLedger } from "../../../src/ledger/detection-ledger.port.ts"
import type { LeaseKeeper } from "../../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { Bus, type Verdict } from "../../../src/messaging/bus.port.ts"
import { decodeOutcomes, decodeWork, type WorkEnvelope } from "../../../src/messaging/envelope.ts"
import type { ParkedMessages } from "../../../src/messaging/parked-messages.port.ts"
import type { Telemetry } from "../../../src/telemetry/telemetry.port.ts"
import { DEADLINE_MS } from "../../support/eventually.ts"
import { aBlock, aChainId, aSeenRequest, type LedgerWorld, random32 } from "../../support/ledger-world.ts"
import { type HeardTelemetry, heardTelemetry } from "./heard-telemetry.ts"

export type Below = Ledger | LeaseKeeper | Bus | ParkedMessages | Telemetry

/** Runs a test's program on fresh bus and telemetry; everything it started stops with it. */
export const inActorWorld = <A, E>(
  world: LedgerWorld,
  program: (telemetry: HeardTelemetry) => Effect.Effect<A, E, Below | Scope.Scope>
): Promise<A> => {
  const telemetry = heardTelemetry()
  return world.run(Effect.scoped(program(telemetry)).pipe(Effect.provide(fiberLeaseKeeper()), Effect.provide(inProcessBus), Effect.provide(telemetry.layer)))
}

/** Waits until `look` says yes, by looking. */
export const until = Effect.fnUntraced(function* <E, R>(what: string, look: Effect.Effect<boolean, E, R>, deadlineMs = DEADLINE_MS) {
  const end = performance.now() + deadlineMs
  while (!(yield* look)) {
    assert(performance.now() < end, `not within ${deadlineMs} ms: ${what}`)
    yield* Effect.promise(() => pause(5))
  }
})

/** Requests on a chain of their own, as a listener would have stored them. */
export const bornRequests = Effect.fnUntraced(function* (
  count: number,
  given: Partial<DecryptionRequest> & {
    readonly partition?: number
    readonly snapshot?: unknown
    readonly machineVersion?: number
  } = {}
) {
  const { snapshot, machineVersion = MACHINE_VERSION, ...facts } = given
  const chainId = aChainId()
  const block = aBlock(1)
  const requests = Array.from({ length: count }, () => {
    const seen = aSeenRequest(block, { chainId, ...facts })
    return { ...seen, snapshot: snapshot ?? birth(seen.anchor).snapshot, machineVersion }
  })
  const detection = yield* DetectionLedger
  yield* detection.advance({ chainId, expected: null, ancestor: 0, blocks: [block], requests, keepFrom: 0, worker: "listener", lease: null })
  return yield* reload(requests)
})

/** The same requests as they stand now, in the same order. */
export const reload = Effect.fnUntraced(function* (requests: ReadonlyArray<{ readonly id: RequestId }>) {
  const ledger = yield* RequestLedger
  const loaded = new Map((yield* ledger.load(requests.map(({ id }) => id))).map((request) => [request.id, request]))
  return requests.map(({ id }) => {
    const request = loaded.get(id)
    assert(request !== undefined, "a request is never deleted")
    return request
  })
})

export const facts = {
  "acl-checked": (): RequestEvent => ({ type: "acl-checked", block: { blockNumber: 7, blockHash: random32() } }),
  "ciphertext-fetched": (): RequestEvent => ({ type: "ciphertext-fetched", digests: [random32()] }),
  "shares-collected": (): RequestEvent => ({ type: "shares-collected", nodes: [1, 2] }),
  "threshold-verified": (root: Hex = random32()): RequestEvent => ({
    type: "threshold-verified",
    root,
    resultHash: random32(),
    nodes: [1, 2],
    liars: []
  }),
  submitted: (): RequestEvent => ({ type: "submitted", txHash: random32(), block: { blockNumber: 9, blockHash: random32() } })
} as const

const PATH = ["acl-checked", "ciphertext-fetched", "shares-collected", "threshold-verified", "submitted"] as const

/** Brings requests to a milestone, as a coordinator of an earlier life would have, from wherever they stand. Its outbox rows
 * are settled. `last` is the event that leads to the milestone itself. */
export const brought = Effect.fnUntraced(function* (
  requests: ReadonlyArray<StoredRequest>,
  to: Milestone,
  last?: () => RequestEvent
) {
  const from = PATH.findIndex((milestone) => milestone === requests[0]?.state) + 1
  const milestones = PATH.slice(from, PATH.findIndex((milestone) => milestone === to) + 1)
  return yield* told(
    requests,
    milestones.map((milestone) => (milestone === to && last !== undefined ? last : facts[milestone]))
  )
})

/** The same for events of any kind, one after the other. */
export const told = Effect.fnUntraced(function* (requests: ReadonlyArray<StoredRequest>, events: ReadonlyArray<() => RequestEvent>) {
  const leases = yield* Leases
  const ledger = yield* RequestLedger
  const names = [...new Set(requests.map(({ partition }) => `partition/${partition}`))]
  const held = yield* leases.claim(names, "an earlier life", 60_000)
  assert.equal(held.length, names.length, "nobody owns the partitions yet")
  const epochs = new Map(held.map(({ name, epoch }) => [name, epoch]))
  let now = requests
  for (const eventOf of events) {
    const saved = yield* ledger.save(
      now.map((stored) => {
        const event = eventOf()
        const decision = decide(stored, event)
        assert(decision.type === "decided")
        return {
          ...decision,
          requestId: stored.id,
          partition: stored.partition,
          version: stored.version,
          leaseEpoch: epochs.get(`partition/${stored.partition}`) ?? 0n,
          event,
          machineVersion: MACHINE_VERSION,
          chainTail: stored.chainTail,
          answeredSignals: []
        }
      }),
      "an earlier life"
    )
    assert(saved.every(({ type }) => type === "saved"))
    now = yield* reload(now)
  }
  const owed = yield* ledger.owed([...Array(PARTITIONS).keys()], 0, 10_000)
  yield* ledger.settle(owed.map(({ id }) => id))
  yield* leases.resign(held, "an earlier life")
  return now
})

/** The same program with some answers of a service replaced. */
export const withOver =
  <Id, S>(key: Context.Key<Id, S>, over: (real: S) => Partial<S>) =>
  <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Id> =>
    Effect.flatMap(key, (real) => Effect.provideService(program, key, { ...real, ...over(real) }))

const ACK: Verdict = { type: "ack" }

/** Collects the work that is given out for these milestones. */
export const hearWork = Effect.fnUntraced(function* (...milestones: ReadonlyArray<Milestone>) {
  const bus = yield* Bus
  const heard: Array<WorkEnvelope & { readonly reached: Milestone }> = []
  for (const reached of milestones) {
    yield* bus.consume(workSubject(reached), { concurrency: 1 }, ({ body }) =>
      decodeWork(body).pipe(
        Effect.map((envelope) => {
          heard.push({ ...envelope, reached })
          return ACK
        }),
        Effect.orDie
      )
    )
  }
  return {
    envelopes: heard as ReadonlyArray<WorkEnvelope & { readonly reached: Milestone }>,
    items: (): ReadonlyArray<WorkItem> => heard.flatMap(({ items }) => items)
  }
})

/** Collects what steps answer, on every partition. */
export const hearOutcomes = Effect.gen(function* () {
  const bus = yield* Bus
  const heard: Array<{ readonly partition: number; readonly items: ReadonlyArray<OutcomeItem> }> = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    yield* bus.consume(outcomeSubject(partition), { concurrency: 1 }, ({ body }) =>
      decodeOutcomes(body).pipe(
        Effect.map(({ items }) => {
          heard.push({ partition, items })
          return ACK
        }),
        Effect.orDie
      )
    )
  }
  return {
    messages: heard as ReadonlyArray<{ readonly partition: number; readonly items: ReadonlyArray<OutcomeItem> }>,
    of: (id: RequestId): ReadonlyArray<OutcomeItem["outcome"]> =>
      heard.flatMap(({ items }) => items.filter(({ requestId }) => requestId === id).map(({ outcome }) => outcome))
  }
})

/** Leaves nothing to be swept by the next test; histories stay, for nobody can delete them. */
export const leaveNothingToSweep = (world: LedgerWorld): Promise<unknown> => world.query("TRUNCATE wake, outbox, signal")
