/** One after the other, every dependency takes what it is sent and never answers. */
import type { Scenario } from "../scenario.ts"

export const halfOpenEverything: Scenario = {
  name: "half-open-everything",
  sentence: "One after the other, every dependency takes what it is sent and never answers.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 45_000,
  round: [
    { verb: "half-open", on: "postgres", atMs: 2_000, forMs: [3_000, 6_000] },
    { verb: "half-open", on: { any: "nats-server" }, atMs: 10_000, forMs: [3_000, 6_000] },
    { verb: "half-open", on: { any: "rpc" }, atMs: 18_000, forMs: [3_000, 6_000] },
    { verb: "half-open", on: { any: "kms" }, atMs: 26_000, forMs: [3_000, 6_000] },
    { verb: "half-open", on: "store", atMs: 34_000, forMs: [3_000, 6_000] }
  ],
  rigs: ["sim", "process"]
}
