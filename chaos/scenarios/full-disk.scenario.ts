/** There is no room to write: for NATS, for PostgreSQL, for a gateway. */
import type { Scenario } from "../scenario.ts"

export const fullDisk: Scenario = {
  name: "full-disk",
  sentence: "There is no room to write: for NATS, for PostgreSQL, for a gateway.",
  shape: { hasSmallDisks: true },
  load: { type: "steady", perSecond: 2 },
  roundMs: 30_000,
  round: [
    { verb: "fill-disk", on: { any: "nats-server" }, atMs: [1_000, 2_000], forMs: [4_000, 6_000] },
    { verb: "fill-disk", on: "postgres", atMs: [10_000, 11_000], forMs: [3_000, 5_000] },
    { verb: "fill-disk", on: { any: "gateway" }, atMs: [19_000, 20_000], forMs: [4_000, 6_000] }
  ],
  rigs: ["sim", "process"]
}
