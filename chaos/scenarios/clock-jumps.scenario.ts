/** Clocks of single processes jump an hour forward and back. */
import type { Scenario } from "../scenario.ts"

export const clockJumps: Scenario = {
  name: "clock-jumps",
  sentence: "Clocks of single processes jump an hour forward and back.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 25_000,
  round: [
    { verb: "skew-clock", on: { any: "gateway" }, atMs: [1_000, 2_000], with: { ms: [-3_600_000, 3_600_000] }, forMs: [5_000, 8_000] },
    { verb: "skew-clock", on: { any: "gateway" }, atMs: [12_000, 14_000], with: { ms: [-60_000, 60_000] }, forMs: [5_000, 8_000] }
  ],
  rigs: ["sim", "process"]
}
