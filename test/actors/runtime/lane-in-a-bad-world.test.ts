/** One sending account in a world where anything may happen between two rounds: no gap, no second batch on a nonce, and every batch exactly once. */
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { LANE_PATIENCE } from "../../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { type Death, LaneWorld } from "../support/lane-world.ts"
import { CANCELLED, type Fault } from "../support/submission-chain.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const { bumpAfterMs, foreignAfterMs, rebroadcastAfterMs } = LANE_PATIENCE

/** What may happen between two rounds, or in the next one. */
type Happening =
  | { readonly type: "queue"; readonly count: number }
  | { readonly type: "time passes"; readonly ms: number }
  | { readonly type: "mined" | "taken back" | "foreign" | "pool lost" | "final" | "unreachable" }
  | { readonly type: "death"; readonly death: Death }
  | { readonly type: "faults"; readonly faults: ReadonlyArray<Fault> }

const fault = fc.constantFrom<Fault>("truth", "answer lost", "forgotten", "unreachable")
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant("queue" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("mined" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("time passes" as const),
      ms: fc.constantFrom(500, rebroadcastAfterMs, bumpAfterMs, foreignAfterMs)
    })
  },
  fc.record({ type: fc.constantFrom("taken back" as const, "foreign" as const, "pool lost" as const) }),
  fc.record({ type: fc.constantFrom("final" as const, "unreachable" as const) }),
  fc.record({ type: fc.constant("death" as const), death: fc.constantFrom<Death>("after take", "after save") }),
  fc.record({ type: fc.constant("faults" as const), faults: fc.array(fault, { minLength: 1, maxLength: 3 }) })
)

const happen = async (lane: LaneWorld, now: Happening): Promise<void> => {
  const { chain } = lane
  chain.isUnreachable = now.type === "unreachable"
  switch (now.type) {
    case "queue":
      return void (await lane.queue(now.count))
    case "time passes":
      return lane.time.forward(now.ms)
    case "mined":
      return chain.mine()
    case "taken back":
      return chain.reorganise(true)
    case "foreign": // more would be a leap, and page
      return lane.strangers++ < 4 ? chain.mineForeign() : undefined
    case "pool lost":
      return chain.forgetPool()
    case "final":
      return chain.finalise()
    case "death":
      return void (lane.death = now.death)
    case "faults":
      return void (chain.faults = [...now.faults])
    case "unreachable":
      return
  }
}

/** Everything answers again, time passes, and the sweeper queues what has not arrived. */
const heal = async (lane: LaneWorld): Promise<void> => {
  const { chain } = lane
  chain.isUnreachable = false
  chain.faults = []
  lane.death = undefined
  for (let turn = 0; turn < 12; turn++) {
    for (const [root, batch] of lane.batches) if (!chain.fulfilled.includes(root)) await lane.enqueue(batch)
    lane.time.forward(foreignAfterMs)
    await lane.round()
    chain.mine()
    chain.finalise()
  }
}

describe("a lane in a bad world", () => {
  test("never has two batches on a nonce or a gap below one, and fulfils every batch exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 5, maxLength: 25 }), async (story) => {
        const lane = new LaneWorld(world)
        await lane.queue()
        for (const now of story) {
          await happen(lane, now)
          await lane.round()
        }
        await heal(lane)
        const rootOf = new Map<number, Hex>()
        for (const { nonce, root } of lane.chain.broadcasts) {
          if (root === CANCELLED) continue
          expect(rootOf.get(nonce) ?? root, `nonce ${nonce}`).toBe(root)
          rootOf.set(nonce, root)
        }
        expect(lane.chain.fulfilled.toSorted()).toEqual([...lane.batches.keys()].toSorted())
        expect((await lane.slots()).slots).toEqual([])
        expect(lane.telemetry.errors).toEqual([])
      }),
      { numRuns: 50 }
    )
  }, 120_000)
})
