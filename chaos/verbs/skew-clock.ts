/** Sets the clock of one process forward or back. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const skewClock = defineVerb({
  name: "skew-clock",
  does: "Sets the clock of one process forward or back.",
  targets: ["gateway", "kms"],
  parameters: {
    ms: { unit: "ms", least: -86_400_000, most: 86_400_000, usual: 60_000, says: "negative: it is behind" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The clock is right again.",
  apply: (levers, target, { ms }) => levers.skewClock(target, ms)
})
