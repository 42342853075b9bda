/** A sending account on a real lane ledger and a chain in memory, driven round by round, whose process may die after any
 * write. */
import { Cause, Clock, Effect, Exit, Layer } from "effect"
import assert from "node:assert/strict"
import { reconcile } from "../../../actors/failover.actor.ts"
import { laneRound, type MinedBatch } from "../../../actors/runtime/lane.ts"
import { type Driver, freshHealth, type LaneHealth, SPEND_BUDGET, type SpendBudget } from "../../../actors/runtime/lane-health.ts"
import type { GivenUp } from "../../../actors/runtime/lane-sending.ts"
import { makePauses, Pauses } from "../../../actors/runtime/pauses.ts"
import type { Ledger } from "../../../src/adapters/postgres/ledger.layer.ts"
import { fromHex, type Hex, toHex } from "../../../src/domain/hex.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import { type AttestedBatch, responseLeaf, resultHashOf } from "../../../src/domain/response.ts"
import { RequestLog } from "../../../src/journey/1-detected/request-log.port.ts"
import type { ResultContract } from "../../../src/journey/6-submitted/result-contract.port.ts"
import { laneHistoryLeaseName, LaneLedger, laneLeaseName, type LaneId } from "../../../src/ledger/lane-ledger.port.ts"
import { Leases, type Lease } from "../../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../../src/ledger/result-ledger.port.ts"
import type { Telemetry } from "../../../src/telemetry/telemetry.port.ts"
import { Bus } from "../../../src/messaging/bus.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { merkleRoot } from "../../../src/threshold/merkle.ts"
import { partOf, partsOf } from "../../../src/threshold/part-of-batch.ts"
import type { LedgerRig } from "../../support/ledger-rig.ts"
import { sayVouched } from "../../support/reconciled.ts"
import { aChainId, random32, randomAddress } from "../../support/ledger-world.ts"
import { withOver } from "./actor-world.ts"
import { heardTelemetry, type HeardTelemetry } from "./heard-telemetry.ts"
import { type MovedClock, movedClock } from "./moved-clock.ts"
import { SubmissionChain } from "./submission-chain.ts"

export const aBatch = (chainId: bigint, count = 1): AttestedBatch => {
  const responses = Array.from({ length: count }, () => ({ requestId: random32(), result: new Uint8Array(32) }))
  const leaves = responses.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))
  return {
    attested: { root: toHex(merkleRoot(leaves)), count, epoch: 1, expiry: 2_000_000_000 },
    ...{ chainId, gateway: randomAddress(), attestation: new Uint8Array(128), responses }
  }
}

const died = new LedgerUnavailable({ doing: "go on", cause: "the process died here" })

/** Where a process dies: after this write has been committed, and before anything else. */
export type Death = "after take" | "after save" | "after split" | "after adopt" | undefined

export class LaneWorld {
  readonly chain: SubmissionChain
  readonly lane: LaneId
  readonly time: MovedClock
  readonly telemetry: HeardTelemetry = heardTelemetry()
  /** Everything that a ledger has confirmed to hold, before it was confirmed. */
  readonly stored = new Set<Hex>()
  readonly mined: Array<MinedBatch> = []
  readonly pauses = makePauses()
  readonly batches: Map<Hex, AttestedBatch>
  /** Who asked for a request; all others are strangers. */
  private readonly requesterOf: Map<RequestId, Hex>
  readonly givenUp: Array<GivenUp> = []
  readonly herald = {
    mined: (batch: MinedBatch) => Effect.sync(() => void this.mined.push(batch)),
    givenUp: (given: GivenUp) => Effect.sync(() => void this.givenUp.push(given))
  }
  death: Death = undefined
  hasKey = true
  /** Transactions of others so far. */
  strangers = 0
  budget: SpendBudget = SPEND_BUDGET
  health: LaneHealth = freshHealth()

  private readonly world: LedgerRig

  constructor(world: LedgerRig, beside?: LaneWorld) {
    this.world = world
    this.time = beside?.time ?? movedClock()
    this.batches = beside?.batches ?? new Map()
    this.requesterOf = beside?.requesterOf ?? new Map()
    this.chain = new SubmissionChain(beside?.lane.chainId ?? aChainId())
    this.lane = { chainId: this.chain.chainId, address: this.chain.address }
    this.chain.onBroadcast = (rawTx, nonce) => {
      assert(this.stored.has(rawTx), "bytes are stored before anybody sees them")
      const isBelowKnown = this.chain.isOrderFree || nonce <= this.chain.nextNonce || this.chain.broadcasts.some((earlier) => earlier.nonce === nonce - 1)
      assert(isBelowKnown, `nonce ${nonce} is broadcast after the one below it`)
    }
  }

  get leaseName(): string {
    return laneLeaseName(this.lane)
  }

  run<A, E>(program: Effect.Effect<A, E, Ledger>): Promise<A> {
    const results = Layer.succeed(ResultLedger, {
      keep: () => Effect.die("nothing is kept here"),
      rootOf: () => Effect.die("nobody asks for roots here"),
      batch: (root) => Effect.sync(() => this.batches.get(root) ?? this.part(root))
    })
    const asked = withOver(RequestLedger, () => ({
      load: (ids) => Effect.sync(() => ids.flatMap((id) => this.facts(id)))
    }))
    return this.world.run(asked(program).pipe(Effect.provide(results)))
  }

  private part(name: Hex): AttestedBatch | undefined {
    for (const batch of this.batches.values()) {
      const part = partsOf(batch).find((one) => one.name === name)
      if (part !== undefined) return partOf(batch, part.requestId)
    }
    return undefined
  }

  private facts(id: RequestId): ReadonlyArray<StoredRequest> {
    const requester = this.requesterOf.get(id)
    return requester === undefined ? [] : [{ id, facts: { requester } } as StoredRequest]
  }

  /** Another account on the same queue, in the same time. */
  neighbour(): LaneWorld {
    return new LaneWorld(this.world, this)
  }

  requester(): Hex {
    return randomAddress()
  }

  /** A batch with one result for each of these requesters. */
  async queueFor(...requesters: ReadonlyArray<Hex>): Promise<Hex> {
    const batch = aBatch(this.lane.chainId, requesters.length)
    for (const [index, { requestId }] of batch.responses.entries()) this.requesterOf.set(requestId, requesters[index]!)
    await this.add(batch)
    return batch.attested.root
  }

  private async add(batch: AttestedBatch): Promise<void> {
    this.chain.knows(batch)
    this.batches.set(batch.attested.root, batch)
    await this.enqueue(batch)
  }

  async queue(count = 1): Promise<ReadonlyArray<Hex>> {
    const batches = Array.from({ length: count }, () => aBatch(this.lane.chainId))
    for (const batch of batches) await this.add(batch)
    return batches.map(({ attested }) => attested.root)
  }

  enqueue({ attested, responses }: AttestedBatch): Promise<unknown> {
    const ids = responses.map(({ requestId }) => requestId)
    return this.run(LaneLedger.use((ledger) => ledger.enqueue(this.lane.chainId, attested.root, ids)))
  }

  claim(owner = "sender"): Promise<Lease> {
    return this.run(
      Leases.use((leases) => leases.claim([this.leaseName], owner, 60_000)).pipe(
        Effect.map(([lease]) => {
          assert(lease !== undefined)
          return lease
        })
      )
    )
  }

  driver(lease: Lease): Driver {
    return { lane: this.lane, lease, hasKey: this.hasKey, budget: this.budget, health: this.health }
  }

  /** One round, as whoever has the lease would do it. A death is noticed by the supervisor, and the next round starts from
   * the ledger. */
  async round(): Promise<Exit.Exit<unknown, unknown>> {
    const lease = await this.claim()
    return this.watched(laneRound(this.driver(lease), this.herald))
  }

  /** All that is final, however young it is. Answers how many rows that were. */
  forget(): Promise<number> {
    const { chainId } = this.lane
    return this.run(
      Effect.gen(function* () {
        const [lease] = yield* Leases.use((leases) => leases.claim([laneHistoryLeaseName(chainId)], "keeper", 60_000))
        assert(lease !== undefined)
        const ledger = yield* LaneLedger
        let rows = 0
        for (let more = 1; more > 0; rows += more) more = yield* ledger.forget(lease, chainId, { bytesMs: 0, historyMs: 0 }, 100)
        return rows
      })
    )
  }

  /** After a failover; no blocks are read again here. Answers whether this node did it. */
  reconcile(owner = "node-a"): Promise<Exit.Exit<boolean, unknown>> {
    const nobodyReads = Layer.mergeAll(Layer.succeed(RequestLog, undefined as never), Layer.succeed(Bus, undefined as never))
    return this.watched(Effect.tap(reconcile({ owner, rescan: undefined }), () => sayVouched).pipe(Effect.provide(nobodyReads)))
  }

  private async watched<A, E>(work: Effect.Effect<A, E, Ledger | ResultContract | Telemetry>): Promise<Exit.Exit<A, E>> {
    const dies = (at: Death) =>
      Effect.suspend(() => {
        if (this.death !== at) return Effect.void
        this.death = undefined
        return Effect.fail(died)
      })
    const watched = withOver(LaneLedger, (real) => ({
      take: (lane, held, slot) =>
        Effect.tap(real.take(lane, held, slot), (isTaken) => {
          if (isTaken) this.stored.add(slot.attempt.rawTx)
          return dies("after take")
        }),
      save: (lane, held, change) =>
        Effect.tap(real.save(lane, held, change), (isSaved) => {
          if (isSaved && change.attempt !== undefined) this.stored.add(change.attempt.rawTx)
          return dies("after save")
        }),
      split: (lane, held, root, parts, reason) => Effect.tap(real.split(lane, held, root, parts, reason), () => dies("after split")),
      adopt: (lane, held, slot) =>
        Effect.tap(real.adopt(lane, held, slot), (isAdopted) => {
          if (isAdopted) this.stored.add(slot.attempt.rawTx)
          return dies("after adopt")
        }),
      fill: (lane, held, slot) =>
        Effect.tap(real.fill(lane, held, slot), (isFilled) => Effect.sync(() => isFilled && this.stored.add(slot.attempt.rawTx)))
    }))
    const exit = await this.run(
      Effect.exit(
        work.pipe(
          watched,
          Effect.provide(this.chain.layer),
          Effect.provide(this.telemetry.layer),
          Effect.provideService(Pauses, this.pauses.view),
          Effect.provideService(Clock.Clock, this.time.clock)
        )
      )
    )
    assert(Exit.isSuccess(exit) || !Cause.hasDies(exit.cause), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
    return exit
  }

  /** Time passes for the process and for the database. */
  later(ms: number): Promise<void> {
    this.time.forward(ms)
    return this.world.run(this.world.passLaneTime(ms))
  }

  waiting() {
    return this.run(LaneLedger.use((ledger) => ledger.waiting(this.lane.chainId, 10)))
  }

  slots() {
    return this.run(LaneLedger.use((ledger) => ledger.open(this.lane)))
  }
}

