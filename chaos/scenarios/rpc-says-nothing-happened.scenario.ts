/** Endpoints lag, leave out logs without an error, and deny transactions that they took. */
import type { Scenario } from "../scenario.ts"

export const rpcSaysNothingHappened: Scenario = {
  name: "rpc-says-nothing-happened",
  sentence: "Endpoints lag, leave out logs without an error, and deny transactions that they took.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 20_000,
  round: [
    { verb: "missing-logs", on: "r1", atMs: [1_000, 2_000], with: { share: 0.5 }, forMs: [5_000, 8_000] },
    { verb: "stale-rpc", on: { any: "rpc" }, atMs: [10_000, 11_000], with: { blocks: [2, 10] }, forMs: [3_000, 5_000] },
    { verb: "already-known", on: { any: "rpc" }, atMs: [3_000, 9_000], forMs: [2_000, 4_000] },
    { verb: "nonce-too-low", on: { any: "rpc" }, atMs: [11_000, 15_000], forMs: [1_000, 3_000] },
    { verb: "rate-limit", on: { any: "rpc" }, atMs: [12_000, 15_000], with: { share: 0.5 }, forMs: [1_000, 3_000] }
  ],
  rigs: ["sim", "process"]
}
