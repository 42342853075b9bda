/** A snapshot of PostgreSQL's disk is put back under running gateways, and then once more when every gateway that could remember is dead. */
import type { Scenario } from "../scenario.ts"

export const snapshotRestored: Scenario = {
  name: "snapshot-restored",
  sentence: "PostgreSQL's disk is set back a few seconds, and its name and timeline do not tell: nothing is sent twice, nothing stays lost.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 40_000,
  round: [
    { verb: "restore-snapshot", on: "postgres", atMs: [3_000, 5_000], forMs: [500, 4_000] },
    // Longer than it takes to tell a witness; then nobody is left who has seen what is lost.
    { verb: "restore-snapshot", on: "postgres", atMs: 15_000, forMs: [8_500, 9_500] },
    { verb: "kill", on: { each: "gateway" }, atMs: [21_500, 22_500], forMs: [3_500, 5_000] }
  ],
  rigs: ["sim", "process"]
}
