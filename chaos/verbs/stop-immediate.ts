/** Stops PostgreSQL as a crash would. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const stopImmediate = defineVerb({
  name: "stop-immediate",
  does: "Stops PostgreSQL as a crash would.",
  targets: ["postgres", "standby"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is started again and recovers from its log.",
  apply: (levers, target) => levers.stopPostgresAtOnce(target)
})
