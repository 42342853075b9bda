/** Gateways freeze for moments that are shorter or longer than a lease, again and again. */
import type { Scenario } from "../scenario.ts"

export const frozenCoordinator: Scenario = {
  name: "frozen-coordinator",
  sentence: "Gateways freeze for moments that are shorter or longer than a lease, again and again.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 30_000,
  round: [
    { verb: "freeze", on: "g1", atMs: [1_000, 3_000], forMs: [1_000, 14_000] },
    { verb: "freeze", on: "g2", atMs: [16_000, 18_000], forMs: [2_000, 8_000] },
    // Before its time: the campaign's own thaw comes later and finds nothing to do.
    { verb: "thaw", on: "g2", atMs: [19_000, 20_000] }
  ],
  rigs: ["sim", "process"]
}
