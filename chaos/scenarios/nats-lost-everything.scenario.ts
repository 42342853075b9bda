/** All NATS servers come up empty, and later with a copy from the past; requests are delayed and none is lost. */
import type { Scenario } from "../scenario.ts"

export const natsLostEverything: Scenario = {
  name: "nats-lost-everything",
  sentence: "All NATS servers come up empty, and later with a copy from the past; requests are delayed and none is lost.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 25_000,
  round: [
    { verb: "wipe", on: "nats", atMs: [2_000, 4_000] },
    { verb: "roll-back", on: "nats", atMs: [9_000, 11_000], forMs: [3_000, 5_000] }
  ],
  rigs: ["sim", "process"]
}
