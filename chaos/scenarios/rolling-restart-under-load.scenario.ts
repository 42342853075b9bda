/** Every gateway is told to stop and started again, one after the other, while requests keep coming; nothing is lost. */
import type { Scenario } from "../scenario.ts"

export const rollingRestartUnderLoad: Scenario = {
  name: "rolling-restart-under-load",
  sentence: "Every gateway is told to stop and started again, one after the other, while requests keep coming; nothing is lost.",
  load: { type: "steady", perSecond: 4 },
  roundMs: 20_000,
  round: [
    { verb: "restart", on: { each: "gateway", everyMs: 5_000 }, atMs: 2_000, forMs: [200, 800] }
  ],
  rigs: ["sim", "process"]
}
