/** Messages that nobody can read arrive among the others, and others twice, late or not at all. */
import type { Scenario } from "../scenario.ts"

export const poisonedMessage: Scenario = {
  name: "poisoned-message",
  sentence: "Messages that nobody can read arrive among the others, and others twice, late or not at all.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 20_000,
  round: [
    { verb: "poison", on: "nats", atMs: [1_000, 4_000] },
    { verb: "duplicate", on: { each: "gateway" }, atMs: 2_000, with: { share: 0.5 }, forMs: [4_000, 6_000] },
    { verb: "reorder", on: { each: "gateway" }, atMs: 8_500, with: { share: 0.5 }, forMs: [3_000, 4_000] },
    { verb: "lose", on: { each: "gateway" }, atMs: 13_000, with: { share: 0.3 }, forMs: [3_000, 5_000] },
    { verb: "poison", on: "nats", atMs: [14_000, 16_000] }
  ],
  rigs: ["sim", "process"]
}
