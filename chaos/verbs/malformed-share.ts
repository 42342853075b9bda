/** A node signs bytes that are no shares. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const malformedShare = defineVerb({
  name: "malformed-share",
  does: "A node signs bytes that are no shares.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "malformed-share" })
})
