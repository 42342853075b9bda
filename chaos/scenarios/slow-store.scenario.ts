/** The object store is slow, then absent, then wrong, then right. */
import type { Scenario } from "../scenario.ts"

export const slowStore: Scenario = {
  name: "slow-store",
  sentence: "The object store is slow, then absent, then wrong, then right.",
  load: { type: "steady", perSecond: 2 },
  roundMs: 25_000,
  round: [
    { verb: "store-slow", on: "store", atMs: 1_000, with: { ms: [500, 4_000] }, forMs: [3_000, 5_000] },
    { verb: "store-503", on: "store", atMs: 8_000, with: { share: 0.8 }, forMs: [3_000, 5_000] },
    { verb: "store-404", on: "store", atMs: 14_000, with: { share: 0.5 }, forMs: [2_000, 3_000] },
    { verb: "corrupt-ciphertext", on: "store", atMs: 18_000, with: { share: 0.5 }, forMs: [2_000, 4_000] }
  ],
  rigs: ["sim", "process"]
}
