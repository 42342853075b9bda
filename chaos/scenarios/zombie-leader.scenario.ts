/** A gateway is frozen for longer than its leases live, others take over, and it wakes up believing that it still leads. */
import type { Scenario } from "../scenario.ts"

export const zombieLeader: Scenario = {
  name: "zombie-leader",
  sentence: "A gateway is frozen for longer than its leases live, others take over, and it wakes up believing that it still leads.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 40_000,
  round: [
    { verb: "freeze", on: { any: "gateway" }, atMs: [2_000, 4_000], forMs: [20_000, 25_000] }
  ],
  rigs: ["sim", "process"]
}
