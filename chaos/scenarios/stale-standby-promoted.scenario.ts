/** PostgreSQL's primary dies, and a standby that lacks the last commits takes over, again and again. */
import type { Scenario } from "../scenario.ts"

export const staleStandbyPromoted: Scenario = {
  name: "stale-standby-promoted",
  sentence: "PostgreSQL's primary dies, and a standby that lacks the last commits takes over: nothing is sent twice, nothing stays lost.",
  shape: { hasStandby: true },
  load: { type: "steady", perSecond: 3 },
  roundMs: 20_000,
  round: [{ verb: "promote-standby", on: "standby", atMs: [3_000, 6_000], with: { lostMs: [200, 2_000] } }],
  rigs: ["sim", "process"]
}
