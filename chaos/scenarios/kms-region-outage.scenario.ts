/** More KMS nodes are gone than the threshold allows; requests wait, and go on when a node is back. */
import type { Scenario } from "../scenario.ts"

export const kmsRegionOutage: Scenario = {
  name: "kms-region-outage",
  sentence: "More KMS nodes are gone than the threshold allows; requests wait, and go on when a node is back.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 25_000,
  round: [
    { verb: "kill", on: { any: "kms", count: 2 }, atMs: [2_000, 3_000], forMs: [6_000, 9_000] },
    { verb: "kms-throttle", on: { any: "kms" }, atMs: [13_000, 14_000], forMs: [3_000, 5_000] },
    { verb: "kms-amnesia", on: { any: "kms" }, atMs: [19_000, 20_000] }
  ],
  rigs: ["sim", "process"]
}
