/** A node answers that it has too much to do. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const kmsThrottle = defineVerb({
  name: "kms-throttle",
  does: "A node answers that it has too much to do.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "throttle" })
})
