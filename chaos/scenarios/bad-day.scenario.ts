/** A little of everything in twenty seconds: a liar, a lost bus, a database and a gateway that die together, a zombie, a reorganisation. */
import type { Scenario } from "../scenario.ts"

export const badDay: Scenario = {
  name: "bad-day",
  sentence: "A little of everything in twenty seconds: a liar, a lost bus, a database and a gateway that die together, a zombie, a reorganisation.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 20_000,
  round: [
    // Always the same: a request that is slow meets the liars of several rounds, and four nodes can spare one.
    { verb: "equivocation", on: "k2", atMs: 500, forMs: [8_000, 14_000] },
    { verb: "wipe", on: "nats", atMs: [1_000, 2_000] },
    { verb: "stop-immediate", on: "postgres", atMs: 5_000, forMs: [300, 1_500] },
    { verb: "kill", on: "g1", atMs: [4_950, 5_050], forMs: [500, 1_500] },
    { verb: "freeze", on: "g2", atMs: [8_000, 9_000], forMs: [4_000, 9_000] },
    { verb: "duplicate", on: "g3", atMs: 9_000, with: { share: 0.5 }, forMs: [2_000, 4_000] },
    { verb: "reorg", on: "chain", atMs: [11_000, 14_000], with: { depth: [1, 3] } },
    { verb: "half-open", on: "g3", peer: "postgres", atMs: [14_000, 15_000], forMs: [1_000, 3_000] }
  ],
  rigs: ["sim", "process"]
}
