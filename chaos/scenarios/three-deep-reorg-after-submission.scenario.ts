/** The chain takes back its newest three blocks, results and all; each request still has one effect. */
import type { Scenario } from "../scenario.ts"

export const threeDeepReorgAfterSubmission: Scenario = {
  name: "three-deep-reorg-after-submission",
  sentence: "The chain takes back its newest three blocks, results and all; each request still has one effect.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 12_000,
  round: [
    { verb: "reorg", on: "chain", atMs: [4_000, 5_000], with: { depth: 3 } },
    { verb: "reorg", on: "chain", atMs: [8_000, 9_000], with: { depth: [1, 3] } }
  ],
  rigs: ["sim", "process"]
}
