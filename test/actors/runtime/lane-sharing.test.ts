/** Many lanes, one queue: whoever is healthy carries what waits, nobody spends more than was allowed, and a lane that is lost, empty or stuck keeps
 * nobody waiting. */
import { Exit } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { STRANDED_AFTER_MS } from "../../../actors/runtime/lane.ts"
import { SPEND_BUDGET } from "../../../actors/runtime/lane-health.ts"
import { REVERTS_MAX } from "../../../actors/runtime/lane-sending.ts"
import { LANE_PATIENCE } from "../../../machines/transaction-lane.machine.ts"
import { FAILURE_PAUSE_LONGEST_MS, LaneLedger, PULLED_MS } from "../../../src/ledger/lane-ledger.port.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { LaneWorld } from "../support/lane-world.ts"
import { CANCELLED, COST } from "../support/submission-chain.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const succeeded = (exit: Exit.Exit<unknown, unknown>): void => expect(Exit.isSuccess(exit), JSON.stringify(exit)).toBe(true)
const LOOK_MS = 10_000
/** What the chain in memory lets a transaction cost at most: the gas it is given at the fees of its market. */
const WORST = 250_000n * 1_000n

const CHEAPEST = 200_000n * 1_000n

/** Two lanes of one chain, each with a chain of its own to see: they share the queue, not the account. */
const twoLanes = (): readonly [LaneWorld, LaneWorld] => {
  const first = new LaneWorld(world)
  return [first, first.neighbour()]
}

describe("lanes that share a queue", () => {
  test("each carry a part of what waits, and nothing is carried twice", async () => {
    const [a, b] = twoLanes()
    const roots = await a.queue(40)
    for (const lane of [a, b]) succeeded(await lane.round())
    succeeded(await a.round())
    for (const { chain } of [a, b]) expect(chain.broadcasts.length).toBeGreaterThan(0)
    expect([...a.chain.broadcasts, ...b.chain.broadcasts].map(({ root }) => root).toSorted()).toEqual(roots.toSorted())
  })

  test("a lane that dies with batches in its hands keeps them from the others for a lease, and no longer", async () => {
    const [a, b] = twoLanes()
    const [root] = await a.queue()
    const lease = await a.claim()
    await a.run(LaneLedger.use((ledger) => ledger.pull(a.lane, lease, 1)))
    succeeded(await b.round())
    expect(b.chain.broadcasts).toEqual([])
    await b.later(PULLED_MS + 1)
    succeeded(await b.round())
    expect(b.chain.broadcasts).toMatchObject([{ root }])
  })
})

describe("an empty account", () => {
  test("is noticed before anything is signed or stored; others carry what waits; it goes on when it is funded", async () => {
    const [poor, rich] = twoLanes()
    const [root] = await poor.queue()
    poor.chain.balance = CHEAPEST - 1n
    succeeded(await poor.round())
    expect(poor.chain.broadcasts).toEqual([])
    expect(await poor.slots()).toEqual({ nextNonce: undefined, slots: [] })
    expect(poor.telemetry.warnings).toMatchObject([{ what: "a lane sends nothing new", data: { why: "out-of-funds" } }])
    succeeded(await rich.round())
    expect(rich.chain.broadcasts).toMatchObject([{ root }])
    const [next] = await poor.queue()
    await poor.later(LOOK_MS)
    succeeded(await poor.round())
    expect(poor.telemetry.warnings, "it is said once").toHaveLength(1)
    poor.chain.balance = WORST
    await poor.later(LOOK_MS)
    succeeded(await poor.round())
    expect(poor.chain.broadcasts).toMatchObject([{ root: next }])
  })

  test("leaves a batch that is too dear for it to a lane that has more, and sends what it can", async () => {
    const [poor, rich] = twoLanes()
    const [dear] = await poor.queue()
    for (const { chain } of [poor, rich]) chain.gasOf.set(dear!, 1_000_000n)
    poor.chain.balance = WORST
    const [cheap] = await poor.queue()
    succeeded(await poor.round())
    expect(poor.chain.broadcasts).toMatchObject([{ root: cheap }])
    await rich.later(1_000)
    succeeded(await rich.round())
    expect(rich.chain.broadcasts).toMatchObject([{ root: dear }])
  })

  test("goes on when it is funded though its clock was set back meanwhile", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    lane.chain.balance = 0n
    succeeded(await lane.round())
    lane.chain.balance = WORST
    lane.time.setBack(3_600_000)
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(1)
  })

  test("counts what is in the mempool already", async () => {
    const lane = new LaneWorld(world)
    lane.chain.balance = WORST * 2n
    await lane.queue(3)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(2)
    expect(await lane.waiting()).toMatchObject([{ reason: "out-of-funds" }])
    lane.chain.mine()
    succeeded(await lane.round())
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(3)
  })

  test("hands the batch of a transaction that it cannot send to others, after a while; the nonce stays what it is", async () => {
    const [poor, rich] = twoLanes()
    const [root] = await poor.queue()
    poor.chain.faults = ["out of funds"]
    succeeded(await poor.round())
    poor.chain.isOutOfFunds = true
    await poor.later(STRANDED_AFTER_MS - 1_000)
    succeeded(await poor.round())
    succeeded(await rich.round())
    expect(rich.chain.broadcasts).toEqual([])
    await poor.later(1_000)
    succeeded(await poor.round())
    expect(poor.telemetry.counted("batches_handed_on")).toBe(1)
    succeeded(await rich.round())
    expect(rich.chain.broadcasts).toMatchObject([{ root }])
    expect((await poor.slots()).slots).toMatchObject([{ nonce: 0, root }])
  })
})

describe("a budget", () => {
  test("of a lane is what its mined transactions cost, mempool at worst included; above it the lane waits until the window has moved", async () => {
    const lane = new LaneWorld(world)
    lane.budget = { ...SPEND_BUDGET, lane: WORST + COST }
    const [first, second, third] = await lane.queue(3)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ root: first }])
    lane.chain.mine()
    succeeded(await lane.round())
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ root: second })
    lane.chain.mine()
    succeeded(await lane.round())
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toHaveLength(2)
    expect(lane.telemetry.warnings.at(-1)).toMatchObject({ data: { why: "over-budget" } })
    expect(await lane.waiting()).toMatchObject([{ root: third }])
    await lane.later(SPEND_BUDGET.windowMs)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ root: third })
  })

  test("counts no transaction for more than it was signed for, whatever an endpoint says that it cost", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.liedCost = 2n ** 300n
    lane.chain.mine()
    succeeded(await lane.round())
    const { lane: spent } = await lane.run(LaneLedger.use((ledger) => ledger.spending(lane.lane, SPEND_BUDGET.windowMs, SPEND_BUDGET.requester)))
    expect(spent).toBe(WORST)
  })

  test("keeps a batch that costs more than a lane may ever spend from holding up the others behind it", async () => {
    const lane = new LaneWorld(world)
    const [dear] = await lane.queue()
    lane.chain.gasOf.set(dear!, 10_000_000n)
    lane.budget = { ...SPEND_BUDGET, lane: WORST * 2n }
    const [other] = await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.map(({ root }) => root)).toEqual([other])
    expect(await lane.waiting()).toMatchObject([{ root: dear, reason: "over-budget" }])
    expect(lane.telemetry.warnings).toMatchObject([{ what: "a batch costs more than a lane has left", data: { root: dear, why: "over-budget" } }])
    lane.chain.mine()
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    const [next] = await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ root: next })
    expect(lane.telemetry.warnings, "it is said once").toHaveLength(1)
  })

  test("of a requester puts off batches of nobody else, and refuses nothing", async () => {
    const lane = new LaneWorld(world)
    lane.budget = { ...SPEND_BUDGET, requester: COST - 1n }
    const [greedy, other] = [lane.requester(), lane.requester()]
    await lane.queueFor(greedy)
    succeeded(await lane.round())
    lane.chain.mine()
    succeeded(await lane.round())
    await lane.later(LOOK_MS)
    const waits = await lane.queueFor(greedy)
    const goes = await lane.queueFor(other)
    const shared = await lane.queueFor(greedy, other)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.slice(1).map(({ root }) => root)).toEqual([goes, shared])
    expect(await lane.waiting()).toMatchObject([{ root: waits, reason: "requester-over-budget" }])
    expect(lane.telemetry.counted("batches_over_budget")).toBe(1)
    await lane.later(LOOK_MS)
    succeeded(await lane.round())
    expect(lane.telemetry.warnings, "it is said once").toMatchObject([
      { what: "a requester has used up its budget: its results wait", data: { requester: greedy, runbook: "docs/runbooks/submitted.md" } }
    ])
    await lane.later(SPEND_BUDGET.windowMs)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ root: waits })
  })
})

describe("thrift", () => {
  test("asks less and less often whether what was mined is final, and hears of it all the same", async () => {
    const lane = new LaneWorld(world)
    await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    for (let turn = 0; turn < 40; turn++) {
      succeeded(await lane.round())
      lane.time.forward(500)
    }
    expect(lane.chain.finalityAsked).toBeLessThan(25)
    lane.chain.finalise()
    lane.time.forward(16_000)
    succeeded(await lane.round())
    expect((await lane.slots()).slots).toEqual([])
  })

  test("begins at no nonce that is far above what is final: filling up what an endpoint invented would cost without end", async () => {
    const lane = new LaneWorld(world)
    lane.chain.liedNonce = 1_000_000
    const [root] = await lane.queue()
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toEqual([])
    expect(lane.telemetry.warnings).toMatchObject([{ what: "a lane sends nothing new", data: { why: "strange-nonce" } }])
    lane.chain.liedNonce = undefined
    await lane.later(10_000)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root }])
  })
})

describe("a lane whose key is lost", () => {
  test("is watched by others: its bytes are sent again as they are, what is mined is recognised, nothing is signed or taken", async () => {
    const [lost, other] = twoLanes()
    const [root] = await lost.queue()
    succeeded(await lost.round())
    lost.hasKey = false
    await other.queue()
    lost.chain.forgetPool()
    lost.time.forward(LANE_PATIENCE.bumpAfterMs)
    succeeded(await lost.round())
    succeeded(await lost.round())
    expect(new Set(lost.chain.broadcasts.map(({ hash }) => hash)).size).toBe(1)
    lost.chain.mine()
    succeeded(await lost.round())
    expect(lost.mined).toMatchObject([{ root }])
    expect(await lost.waiting()).toHaveLength(1)
  })

  test("has its stuck results carried by another lane; when both are mined the slower one changed nothing, and both are settled", async () => {
    const [lost, other] = twoLanes()
    const [root] = await lost.queue()
    succeeded(await lost.round())
    lost.hasKey = false
    await lost.later(STRANDED_AFTER_MS)
    succeeded(await lost.round())
    expect(lost.telemetry.warnings.map(({ data }) => data["why"])).toContain("no-key")
    succeeded(await other.round())
    expect(other.chain.broadcasts).toMatchObject([{ root }])
    for (const lane of [other, lost]) {
      lane.chain.mine()
      succeeded(await lane.round())
      lane.chain.finalise()
      succeeded(await lane.round())
      expect((await lane.slots()).slots).toEqual([])
    }
    expect(await lost.waiting()).toEqual([])
  })
})

describe("a nonce that nothing useful can be done with", () => {
  test("is cancelled when its results have arrived by another way and it is stuck", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.forgetPool()
    lane.chain.fulfilledByOthers(lane.batches.get(root!)!.responses[0]!.requestId)
    lane.time.forward(LANE_PATIENCE.bumpAfterMs)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 0, root: CANCELLED })
    lane.chain.mine()
    succeeded(await lane.round())
    lane.chain.finalise()
    succeeded(await lane.round())
    expect(lane.mined, "a cancellation brings no results").toEqual([])
    succeeded(await lane.round())
    expect(await lane.waiting()).toEqual([])
  })

  test("is cancelled when the contract has come to reject it, after the same bytes were tried for a while; the batch waits again", async () => {
    const lane = new LaneWorld(world)
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.rejected.add(root!)
    for (let turn = 0; turn < 2; turn++) {
      lane.chain.forgetPool()
      lane.time.forward(LANE_PATIENCE.bumpAfterMs)
      succeeded(await lane.round())
      expect(lane.chain.broadcasts.every((sent) => sent.root === root)).toBe(true)
    }
    lane.time.forward(LANE_PATIENCE.bumpAfterMs)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 0, root: CANCELLED })
    expect(lane.telemetry.counted("lane_cancellations")).toBe(1)
    lane.chain.mine()
    succeeded(await lane.round())
    lane.chain.finalise()
    lane.chain.rejected.clear()
    succeeded(await lane.round())
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1, root })
  })
})

test(`a batch that was mined and reverted ${REVERTS_MAX} times is given up with evidence, and spends nothing more`, async () => {
  const lane = new LaneWorld(world)
  const [root] = await lane.queue()
  lane.chain.reverting.add(root!)
  for (let turn = 0; turn < REVERTS_MAX; turn++) {
    expect(lane.givenUp).toEqual([])
    succeeded(await lane.round())
    lane.chain.mine()
    succeeded(await lane.round())
    lane.chain.finalise()
    succeeded(await lane.round())
    await lane.later(FAILURE_PAUSE_LONGEST_MS)
  }
  succeeded(await lane.round())
  const last = lane.chain.broadcasts.at(-1)!
  expect(last.nonce).toBe(REVERTS_MAX - 1)
  expect(lane.givenUp).toMatchObject([{ batch: { attested: { root } }, detail: expect.stringContaining(last.hash) }])
  expect(lane.telemetry.counted("lane_reverts")).toBe(REVERTS_MAX)
  lane.batches.delete(root!) // its requests have ended
  await lane.later(FAILURE_PAUSE_LONGEST_MS)
  succeeded(await lane.round())
  expect(await lane.waiting()).toEqual([])
})

test("a lane takes no new nonce while 1,024 are not final", async () => {
  const lane = new LaneWorld(world)
  await lane.queue()
  succeeded(await lane.round())
  lane.chain.mine()
  succeeded(await lane.round())
  const address = Buffer.from(lane.lane.address.slice(2), "hex")
  const mined = "SELECT * FROM lane_slot s JOIN tx_attempt a USING (chain_id, address, nonce) WHERE address = $1"
  const columns = "chain_id, address, nonce, attempt_no, root, tx_hash, raw_tx, max_fee_per_gas, max_priority_fee_per_gas, signed_at"
  await world.query(
    `WITH mined AS (${mined.replace("*", "s.snapshot, a.*")}), n AS (SELECT generate_series(1, 1023) AS n), slots AS (
       INSERT INTO lane_slot (chain_id, address, nonce, root, version, snapshot, is_final)
       SELECT chain_id, address, n, root, 1, snapshot, false FROM mined, n), moved AS (
       UPDATE lane SET next_nonce = 1024 WHERE address = $1)
     INSERT INTO tx_attempt (${columns}) SELECT ${columns.replace("nonce", "n")} FROM mined, n`,
    [address]
  )
  const [waiting] = await lane.queue()
  succeeded(await lane.round())
  expect(lane.chain.broadcasts).toHaveLength(1)
  await world.query("UPDATE lane_slot SET is_final = true WHERE address = $1 AND nonce = 1023", [address])
  lane.chain.isOrderFree = true
  succeeded(await lane.round())
  expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1024, root: waiting })
})
