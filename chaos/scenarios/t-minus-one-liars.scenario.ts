/** As many KMS nodes as may lie do lie, each in its own way; no result is wrong and none is missing. */
import type { Scenario } from "../scenario.ts"

export const tMinusOneLiars: Scenario = {
  name: "t-minus-one-liars",
  sentence: "As many KMS nodes as may lie do lie, each in its own way; no result is wrong and none is missing.",
  shape: { kmsNodes: 5, threshold: 3 },
  load: { type: "steady", perSecond: 2 },
  roundMs: 20_000,
  round: [
    { verb: "wrong-share", on: "k1", atMs: 0, forMs: [8_000, 12_000] },
    { verb: "equivocation", on: "k2", atMs: [0, 1_000], forMs: [8_000, 12_000] }
  ],
  rigs: ["sim", "process"]
}
