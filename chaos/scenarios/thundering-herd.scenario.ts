/** Everybody asks in the same block. */
import type { Scenario } from "../scenario.ts"

export const thunderingHerd: Scenario = {
  name: "thundering-herd",
  sentence: "Everybody asks in the same block.",
  load: { type: "herd", requests: 10_000, requestsOnProcesses: 300 },
  roundMs: 10_000,
  round: [
    { verb: "kill", on: { any: "gateway" }, atMs: [2_000, 5_000], forMs: [1_000, 3_000] }
  ],
  rigs: ["sim", "process"],
  settleMs: 300_000
}
