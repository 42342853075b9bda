/** One sending account: signed bytes are stored before anybody sees them, any attempt may be the one that is mined, and a nonce carries one
 * batch for ever, whatever endpoints answer and wherever the process dies. */
import { Clock, Effect, Exit, Layer } from "effect"
import assert from "node:assert/strict"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { laneRound, type MinedBatch } from "../../../actors/runtime/lane.ts"
import { LANE_PATIENCE } from "../../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { AttestedBatch } from "../../../src/domain/response.ts"
import { LaneLedger, type LaneId } from "../../../src/ledger/lane-ledger.port.ts"
import { Leases, type Lease } from "../../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { ResultLedger } from "../../../src/ledger/result-ledger.port.ts"
import { aChainId, type LedgerWorld, openLedgerWorld, random32, randomAddress } from "../../support/ledger-world.ts"
import { inActorWorld, withOver } from "../support/actor-world.ts"
import { heardTelemetry, type HeardTelemetry } from "../support/heard-telemetry.ts"
import { movedClock } from "../support/moved-clock.ts"
import { type Fault, SubmissionChain } from "../support/submission-chain.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const { bumpAfterMs, foreignAfterMs, rebroadcastAfterMs } = LANE_PATIENCE

const aBatch = (chainId: bigint, count = 1): AttestedBatch => ({
  attested: { root: random32(), count, epoch: 1, expiry: 2_000_000_000 },
  chainId,
  gateway: randomAddress(),
  attestation: new Uint8Array(128),
  responses: Array.from({ length: count }, () => ({ requestId: random32(), result: new Uint8Array(32) }))
})

const died = new LedgerUnavailable({ doing: "go on", cause: "the process died here" })

/** Where a process dies: after this write has been committed, and before anything else. */
type Death = "after take" | "after save" | undefined

class LaneWorld {
  readonly chain = new SubmissionChain(aChainId())
  readonly lane: LaneId = { chainId: this.chain.chainId, address: this.chain.address }
  readonly time = movedClock()
  readonly telemetry: HeardTelemetry = heardTelemetry()
  /** Everything that a ledger has confirmed to hold, before it was confirmed. */
  readonly stored = new Set<Hex>()
  readonly mined: Array<MinedBatch> = []
  readonly batches = new Map<Hex, AttestedBatch>()
  death: Death = undefined

  constructor() {
    this.chain.onBroadcast = (rawTx) => assert(this.stored.has(rawTx), "bytes are stored before anybody sees them")
  }

  get leaseName(): string {
    return `lane/${this.lane.chainId}/${this.lane.address}`
  }

  run<A, E>(program: Effect.Effect<A, E, LaneLedger | Leases | ResultLedger>): Promise<A> {
    const results = Layer.succeed(ResultLedger, {
      keep: () => Effect.die("nothing is kept here"),
      rootOf: () => Effect.die("nobody asks for roots here"),
      batch: (root) => Effect.sync(() => this.batches.get(root))
    })
    return world.run(program.pipe(Effect.provide(results)))
  }

  async queue(count = 1): Promise<ReadonlyArray<Hex>> {
    const batches = Array.from({ length: count }, () => aBatch(this.lane.chainId))
    for (const batch of batches) {
      this.chain.knows(batch)
      this.batches.set(batch.attested.root, batch)
      await this.enqueue(batch)
    }
    return batches.map(({ attested }) => attested.root)
  }

  enqueue({ attested, responses }: AttestedBatch): Promise<unknown> {
    return this.run(LaneLedger.use((ledger) => ledger.enqueue(this.lane, attested.root, responses.map(({ requestId }) => requestId))))
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

  /** One round, as whoever has the lease would do it. A death is noticed by the supervisor, and the next round starts from the ledger. */
  async round(): Promise<Exit.Exit<unknown, unknown>> {
    const lease = await this.claim()
    const dies = (at: Death) => Effect.suspend(() => (this.death === at ? ((this.death = undefined), Effect.fail(died)) : Effect.void))
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
        })
    }))
    return this.run(
      Effect.exit(
        laneRound(this.lane, lease, (batch) => Effect.sync(() => void this.mined.push(batch))).pipe(
          watched,
          Effect.provide(this.chain.layer),
          Effect.provide(this.telemetry.layer),
          Effect.provideService(Clock.Clock, this.time.clock)
        )
      )
    )
  }

  slots() {
    return this.run(LaneLedger.use((ledger) => ledger.open(this.lane)))
  }
}

const succeeded = (exit: Exit.Exit<unknown, unknown>): void => expect(Exit.isSuccess(exit), JSON.stringify(exit)).toBe(true)

describe("a lane", () => {
  test("stores nonce and bytes before it broadcasts them, and tells when they are mined", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root }])
    expect((await lane.slots()).slots).toMatchObject([{ nonce: 0, root, attempts: [{ txHash: lane.chain.broadcasts[0]!.hash }] }])
    expect(lane.mined).toEqual([])
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined).toMatchObject([{ root, txHash: lane.chain.broadcasts[0]!.hash }])
    succeeded(await lane.round())
    expect(lane.mined).toHaveLength(1)
    lane.chain.finalise()
    succeeded(await lane.round())
    expect((await lane.slots()).slots).toEqual([])
  })

  test("gives one nonce after the other to the batches that wait, in their order", async () => {
    const lane = new LaneWorld()
    const roots = await lane.queue(4)
    succeeded(await lane.round())
    lane.chain.mine()
    expect(lane.chain.rootsByNonce).toEqual(roots)
  })

  test("broadcasts the same bytes after a crash between taking the nonce and sending", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    lane.death = "after take"
    expect(Exit.isFailure(await lane.round())).toBe(true)
    expect(lane.chain.broadcasts).toEqual([])
    const { slots } = await lane.slots()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.map(({ rawTx }) => rawTx)).toEqual([slots[0]!.attempts[0]!.rawTx])
    lane.chain.mine()
    expect(lane.chain.fulfilled).toEqual([root])
  })

  test("sends the same bytes again when the answer to the first time was lost, and takes known bytes for accepted", async () => {
    const lane = new LaneWorld()
    await lane.queue()
    lane.chain.faults = ["answer lost"]
    expect(Exit.isFailure(await lane.round())).toBe(true)
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    expect(lane.chain.broadcasts).toHaveLength(2)
    expect((await lane.slots()).slots[0]!.snapshot).toMatchObject({ value: "broadcast" })
  })

  test("finds its transaction when the nonce is used already: mined while the answer was lost", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    lane.chain.faults = ["answer lost"]
    await lane.round()
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined.map((batch) => batch.root)).toEqual([root])
  })

  test("sends forgotten bytes again before it pays more", async () => {
    const lane = new LaneWorld()
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.forgetPool()
    lane.time.forward(rebroadcastAfterMs)
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    expect(lane.chain.inPool(0)).toBe(lane.chain.broadcasts[0]!.hash)
  })

  test("replaces a transaction that is stuck by one that pays at least an eighth more, stored first", async () => {
    const lane = new LaneWorld()
    await lane.queue()
    succeeded(await lane.round())
    lane.time.forward(bumpAfterMs)
    succeeded(await lane.round())
    const [first, second] = lane.chain.broadcasts
    expect(second).toMatchObject({ nonce: 0, root: first!.root })
    expect(Number(second!.fee)).toBeGreaterThanOrEqual(Number(first!.fee) * 1.125)
    expect(lane.telemetry.counted("fee_bumps")).toBe(1)
    expect((await lane.slots()).slots[0]!.attempts.map(({ txHash }) => txHash)).toEqual([first!.hash, second!.hash])
  })

  test("broadcasts a stored replacement after a crash, and makes no other", async () => {
    const lane = new LaneWorld()
    await lane.queue()
    succeeded(await lane.round())
    lane.time.forward(bumpAfterMs)
    lane.death = "after save"
    expect(Exit.isFailure(await lane.round())).toBe(true)
    succeeded(await lane.round())
    const { slots } = await lane.slots()
    expect(slots[0]!.attempts).toHaveLength(2)
    expect(lane.chain.broadcasts.at(-1)!.rawTx).toBe(slots[0]!.attempts[1]!.rawTx)
  })

  test("pays more when an endpoint calls it underpriced", async () => {
    const lane = new LaneWorld()
    await lane.queue()
    lane.death = "after take"
    await lane.round()
    lane.chain.occupy(1_000n)
    succeeded(await lane.round())
    const fees = lane.chain.broadcasts.map(({ fee }) => fee)
    expect(fees).toEqual([1_000n, 1_125n])
    expect(lane.chain.inPool(0)).toBe(lane.chain.broadcasts[1]!.hash)
  })

  test("recognises whichever attempt was mined", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.time.forward(bumpAfterMs)
    succeeded(await lane.round())
    lane.chain.mineExactly(lane.chain.broadcasts[0]!.rawTx)
    succeeded(await lane.round())
    expect(lane.mined).toMatchObject([{ root, txHash: lane.chain.broadcasts[0]!.hash }])
  })

  test("sends the same bytes first when their block leaves the chain", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    succeeded(await lane.round())
    lane.chain.reorganise(true)
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    expect(lane.chain.inPool(0)).toBe(lane.chain.broadcasts[0]!.hash)
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined.map((batch) => batch.root)).toEqual([root, root])
  })

  test("gives the batch another nonce when somebody else's bytes keep the first one, and not before that is sure", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.mineForeign()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.every(({ nonce }) => nonce === 0)).toBe(true)
    lane.time.forward(foreignAfterMs - 1_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.every(({ nonce }) => nonce === 0)).toBe(true)
    lane.time.forward(1_000)
    succeeded(await lane.round())
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1, root })
    lane.chain.mine()
    expect(lane.chain.fulfilled).toEqual([root])
  })

  test("starts above nonces that others used", async () => {
    const lane = new LaneWorld()
    lane.chain.mineForeign()
    lane.chain.mineForeign()
    await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 2 }])
  })

  test("pages about a transaction that reverted, and queues its batch again once that is final", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    lane.chain.reverting.add(root!)
    succeeded(await lane.round())
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined).toEqual([])
    lane.chain.finalise()
    lane.chain.reverting.clear()
    succeeded(await lane.round())
    expect(lane.telemetry.errors).toMatchObject([{ what: "a fulfilment reverted", data: { nonce: 0, root } }])
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1, root })
  })

  test("spends no nonce on a batch that is fulfilled already, that nobody holds any more, or that the contract would reject", async () => {
    const lane = new LaneWorld()
    const [done, gone, bad, good] = await lane.queue(4)
    lane.chain.fulfilElsewhere(lane.batches.get(done!)!.responses[0]!.requestId)
    lane.batches.delete(gone!)
    lane.chain.rejected.add(bad!)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root: good }])
    expect(lane.telemetry.errors).toMatchObject([{ what: "the contract would reject a fulfilment", data: { root: bad } }])
    expect(await lane.run(LaneLedger.use((ledger) => ledger.waiting(lane.lane, 10)))).toEqual([])
  })

  test("keeps its transaction while the account cannot pay, and sends it when it can", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    lane.chain.isOutOfFunds = true
    expect(Exit.isFailure(await lane.round())).toBe(true)
    lane.chain.isOutOfFunds = false
    succeeded(await lane.round())
    lane.chain.mine()
    expect(lane.chain.fulfilled).toEqual([root])
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
  })

  test("tells of a mined batch also when the rest of the round fails", async () => {
    const lane = new LaneWorld()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    await lane.queue()
    lane.chain.faults = ["unreachable"]
    expect(Exit.isFailure(await lane.round())).toBe(true)
    expect(lane.mined.map((batch) => batch.root)).toEqual([root])
  })

  test("writes nothing more once its lease is lost, and sends nothing that it did not write", async () => {
    const lane = new LaneWorld()
    const roots = await lane.queue(2)
    const stale = await lane.claim("sleeper")
    await lane.run(Leases.use((leases) => leases.resign([stale], "sleeper")))
    const current = await lane.claim("sender")
    expect(current.epoch).toBeGreaterThan(stale.epoch)
    const round = laneRound(lane.lane, stale, () => Effect.void).pipe(
      Effect.provide(lane.chain.layer),
      Effect.provide(lane.telemetry.layer),
      Effect.provideService(Clock.Clock, lane.time.clock)
    )
    await lane.run(round)
    expect(lane.chain.broadcasts).toEqual([])
    expect(await lane.slots()).toEqual({ nextNonce: undefined, slots: [] })

    succeeded(await lane.round())
    lane.chain.mine()
    const before = await lane.slots()
    await lane.run(round)
    expect(await lane.slots()).toEqual(before)
    expect(await lane.run(LaneLedger.use((ledger) => ledger.waiting(lane.lane, 10)))).toEqual([])
    expect(lane.chain.fulfilled).toEqual(roots)
  })

  test("keeps at most 32 transactions in the mempool", async () => {
    const lane = new LaneWorld()
    await lane.queue(40)
    succeeded(await lane.round())
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ nonce }) => nonce)).size).toBe(32)
    lane.chain.mine()
    succeeded(await lane.round())
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ nonce }) => nonce)).size).toBe(40)
  }, 30_000)
})
