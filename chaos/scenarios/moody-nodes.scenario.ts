/** KMS nodes are silent, broken and malformed in turn, never more than the committee can spare. */
import type { Scenario } from "../scenario.ts"

export const moodyNodes: Scenario = {
  name: "moody-nodes",
  sentence: "KMS nodes are silent, broken and malformed in turn, never more than the committee can spare.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 32_000,
  round: [
    { verb: "kms-timeout", on: { any: "kms" }, atMs: 1_000, forMs: [4_000, 6_000] },
    { verb: "kms-5xx", on: { any: "kms" }, atMs: 9_000, forMs: [4_000, 6_000] },
    { verb: "malformed-share", on: { any: "kms" }, atMs: 17_000, forMs: [3_000, 5_000] },
    { verb: "oversized-reply", on: { any: "kms" }, atMs: 24_000, forMs: [3_000, 5_000] }
  ],
  rigs: ["sim", "process"]
}
