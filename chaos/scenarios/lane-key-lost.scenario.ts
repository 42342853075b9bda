/** The key of a sending account is gone from one gateway; the others send for it. */
import type { Scenario } from "../scenario.ts"

export const laneKeyLost: Scenario = {
  name: "lane-key-lost",
  sentence: "The key of a sending account is gone from one gateway; the others send for it.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 25_000,
  round: [
    { verb: "lose-lane-key", on: { any: "gateway" }, atMs: [2_000, 4_000], with: { lane: [1, 2] }, forMs: [8_000, 12_000] },
    { verb: "fee-spike", on: "chain", atMs: [15_000, 16_000], with: { times: 20 }, forMs: [2_000, 3_000] }
  ],
  rigs: ["sim", "process"]
}
