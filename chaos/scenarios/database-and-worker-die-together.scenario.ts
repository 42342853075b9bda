/** PostgreSQL stops like a crash and a gateway is killed in the same moment. */
import type { Scenario } from "../scenario.ts"

export const databaseAndWorkerDieTogether: Scenario = {
  name: "database-and-worker-die-together",
  sentence: "PostgreSQL stops like a crash and a gateway is killed in the same moment.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 15_000,
  round: [
    { verb: "stop-immediate", on: "postgres", atMs: 3_000, forMs: [500, 2_500] },
    { verb: "kill", on: { any: "gateway" }, atMs: [2_950, 3_100], forMs: [1_000, 4_000] }
  ],
  rigs: ["sim", "process"]
}
