/** Nodes are cut off, one way or both, and everything is slow; whoever is cut off decides nothing. */
import type { Scenario } from "../scenario.ts"

export const badNetwork: Scenario = {
  name: "bad-network",
  sentence: "Nodes are cut off, one way or both, and everything is slow; whoever is cut off decides nothing.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 45_000,
  round: [
    { verb: "delay", on: "postgres", atMs: 1_000, with: { ms: [20, 150] }, forMs: [3_000, 5_000] },
    { verb: "partition", on: { any: "gateway" }, with: { direction: [0, 2] }, atMs: 8_000, forMs: [3_000, 14_000] },
    { verb: "slow-drip", on: { any: "rpc" }, with: { bytesPerSecond: [200, 2_000] }, atMs: 24_000, forMs: [3_000, 5_000] },
    { verb: "partition", on: { any: "gateway" }, peer: "postgres", atMs: 31_000, forMs: [3_000, 8_000] }
  ],
  rigs: ["sim", "process"]
}
