/** A node takes the question and never answers. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const kmsTimeout = defineVerb({
  name: "kms-timeout",
  does: "A node takes the question and never answers.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "timeout" })
})
