/** The store takes its time. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const storeSlow = defineVerb({
  name: "store-slow",
  does: "The store takes its time.",
  targets: ["store"],
  parameters: {
    ms: { unit: "ms", least: 1, most: 60_000, usual: 5_000, says: "before the first byte" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is as fast as before.",
  apply: (levers, _target, { ms }) => levers.store({ type: "slow", ms })
})
