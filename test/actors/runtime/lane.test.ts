/** One sending account: signed bytes are stored before anybody sees them, any attempt may be the one that is mined, and a
 * nonce carries one batch for ever, whatever endpoints answer and wherever the process dies. */
import { Clock, Effect, Exit } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { laneRound } from "../../../actors/runtime/lane.ts"
import { LANE_PATIENCE } from "../../../machines/transaction-lane.machine.ts"
import { FAILURE_PAUSE_FIRST_MS } from "../../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../../src/ledger/lease.port.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { LaneWorld } from "../support/lane-world.ts"
import { CANCELLED } from "../support/submission-chain.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const { bumpAfterMs, foreignAfterMs, rebroadcastAfterMs } = LANE_PATIENCE

const succeeded = (exit: Exit.Exit<unknown, unknown>): void => expect(Exit.isSuccess(exit), JSON.stringify(exit)).toBe(true)

describe("a lane", () => {
  test("stores nonce and bytes before it broadcasts them, and tells when they are mined", async () => {
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
    const roots = await lane.queue(4)
    succeeded(await lane.round())
    lane.chain.mine()
    expect(lane.chain.rootsByNonce).toEqual(roots)
  })

  test("that is paused sends nothing new, watches what it has sent to its end, and goes on when it is resumed", async () => {
    const lane = new LaneWorld(world)
    const [sent] = await lane.queue()
    succeeded(await lane.round())
    lane.pauses.set([`lane:${lane.lane.chainId}/${lane.lane.address}`])
    const [waiting] = await lane.queue()
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined.map(({ root }) => root)).toEqual([sent])
    lane.chain.finalise()
    succeeded(await lane.round())
    expect((await lane.slots()).slots).toEqual([])
    expect(lane.chain.broadcasts.map(({ root }) => root)).toEqual([sent])
    lane.pauses.set([])
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.map(({ root }) => root)).toEqual([sent, waiting])
  })

  test("broadcasts the same bytes after a crash between taking the nonce and sending", async () => {
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
    await lane.queue()
    lane.chain.faults = ["answer lost"]
    expect(Exit.isFailure(await lane.round())).toBe(true)
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    expect(lane.chain.broadcasts).toHaveLength(2)
    expect((await lane.slots()).slots[0]!.snapshot).toMatchObject({ value: "broadcast" })
  })

  test("finds its transaction when the nonce is used already: mined while the answer was lost", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    lane.chain.faults = ["answer lost"]
    await lane.round()
    lane.chain.mine()
    succeeded(await lane.round())
    expect(lane.mined.map((batch) => batch.root)).toEqual([root])
  })

  test("sends forgotten bytes again before it pays more", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.forgetPool()
    lane.time.forward(rebroadcastAfterMs)
    succeeded(await lane.round())
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    expect(lane.chain.inPool(0)).toBe(lane.chain.broadcasts[0]!.hash)
  })

  test("replaces a transaction that is stuck by one that pays at least an eighth more, stored first", async () => {
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.time.forward(bumpAfterMs)
    succeeded(await lane.round())
    lane.chain.mineExactly(lane.chain.broadcasts[0]!.rawTx)
    succeeded(await lane.round())
    expect(lane.mined).toMatchObject([{ root, txHash: lane.chain.broadcasts[0]!.hash }])
  })

  test("sends the same bytes first when their block leaves the chain", async () => {
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
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
    const lane = new LaneWorld(world)
    lane.chain.mineForeign()
    lane.chain.mineForeign()
    await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 2 }])
  })

  test("believes a few nonces used by others once they are final, but no leap: it sends nothing and pages", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    for (let used = 0; used < 3; used++) lane.chain.mineForeign()
    await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0 }])
    expect(lane.telemetry.warnings).toMatchObject([{ what: "a lane sends nothing new", data: { why: "strange-nonce" } }])
    expect((await lane.waiting())[0]).toMatchObject({ reason: "strange-nonce" })
    lane.chain.finalise()
    await lane.later(10_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0 }, { nonce: 4 }])
    lane.chain.mine()
    for (let used = 0; used < 10; used++) lane.chain.mineForeign()
    lane.chain.finalise()
    await lane.queue()
    succeeded(await lane.round())
    await lane.later(10_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(2)
    expect(lane.telemetry.errors).toMatchObject([{ what: "a lane's nonce leapt ahead", data: { nextNonce: 5, onChain: 15 } }])
  })

  test("leaves no gap because one endpoint lied about the newest block", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.liedNonce = 3
    const [, second] = [await lane.queue(), await lane.queue()]
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(1)
    lane.chain.liedNonce = undefined
    lane.chain.mine()
    await lane.later(10_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.map(({ nonce }) => nonce)).toEqual([0, 1, 2])
    lane.chain.mine()
    expect(lane.chain.fulfilled).toHaveLength(3)
    expect(lane.chain.fulfilled).toContain(second[0])
  })

  test("fills no nonces while an operator has paused it", async () => {
    const lane = new LaneWorld(world)
    lane.chain.liedNonce = 2
    lane.chain.isOrderFree = true
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.liedNonce = undefined
    lane.pauses.set([`lane:${lane.lane.chainId}/${lane.lane.address}`])
    await lane.later(10_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.filter(({ root }) => root === CANCELLED)).toEqual([])
  })

  test("fills nonces that nobody used when the first it ever heard was a lie, so that what stands above can be mined", async () => {
    const lane = new LaneWorld(world)
    lane.chain.liedNonce = 2
    lane.chain.isOrderFree = true
    const [root] = await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 2, root }])
    lane.chain.liedNonce = undefined
    await lane.later(10_000)
    succeeded(await lane.round())
    lane.chain.mine()
    expect(lane.chain.fulfilled).toEqual([root])
    expect(lane.chain.rootsByNonce).toEqual([CANCELLED, CANCELLED, root])
    succeeded(await lane.round())
    expect(lane.mined).toMatchObject([{ root }])
    lane.chain.finalise()
    succeeded(await lane.round())
    expect((await lane.slots()).slots).toEqual([])
  })

  test("pages about a transaction that reverted, and queues its batch again once that is final", async () => {
    const lane = new LaneWorld(world)
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
    await lane.later(FAILURE_PAUSE_FIRST_MS)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1, root })
  })

  test("spends no nonce on a batch that is fulfilled, that nobody holds any more, or that the contract would reject", async () => {
    const lane = new LaneWorld(world)
    const [done, gone, bad, good] = await lane.queue(4)
    lane.chain.fulfilledByOthers(lane.batches.get(done!)!.responses[0]!.requestId)
    lane.batches.delete(gone!)
    lane.chain.rejected.add(bad!)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root: good }])
    expect(lane.telemetry.errors).toMatchObject([{ what: "the contract would reject a fulfilment", data: { root: bad } }])
    expect(await lane.waiting()).toMatchObject([{ root: bad, reason: "rejected: InvalidAttestation" }])
    await lane.later(15_000)
    succeeded(await lane.round())
    expect(lane.telemetry.errors, "the same reason pages once").toHaveLength(1)
  })

  test("drops a batch whose attestation expired, for its deadlines have passed with it, and pages nobody", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    lane.chain.rejection = "AttestationExpired"
    lane.chain.rejected.add(root!)
    succeeded(await lane.round())
    expect(await lane.waiting()).toEqual([])
    expect(lane.telemetry.errors).toEqual([])
    expect(lane.chain.broadcasts).toEqual([])
  })

  test("keeps its transaction while the account cannot pay, and sends it when it can", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    lane.chain.faults = ["out of funds"]
    succeeded(await lane.round())
    expect(lane.telemetry.warnings).toMatchObject([{ data: { why: "out-of-funds" } }])
    succeeded(await lane.round())
    lane.chain.mine()
    expect(lane.chain.fulfilled).toEqual([root])
    expect(new Set(lane.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
  })

  test("tells of a mined batch also when the rest of the round fails", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    await lane.queue()
    lane.chain.faults = ["unreachable"]
    expect(Exit.isFailure(await lane.round())).toBe(true)
    expect(lane.mined.map((batch) => batch.root)).toEqual([root])
  })

  test("writes nothing more once its lease is lost, and sends nothing that it did not write", async () => {
    const lane = new LaneWorld(world)
    const roots = await lane.queue(2)
    const stale = await lane.claim("sleeper")
    await lane.run(Leases.use((leases) => leases.resign([stale], "sleeper")))
    const current = await lane.claim("sender")
    expect(current.epoch).toBeGreaterThan(stale.epoch)
    const round = laneRound(lane.driver(stale), lane.herald).pipe(
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
    expect(await lane.waiting()).toEqual([])
    expect(lane.chain.fulfilled).toEqual(roots)
  })

  test("keeps at most 32 transactions in the mempool", async () => {
    const lane = new LaneWorld(world)
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
