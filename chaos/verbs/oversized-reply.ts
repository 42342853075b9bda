/** A node answers with far more bytes than any answer has. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const oversizedReply = defineVerb({
  name: "oversized-reply",
  does: "A node answers with far more bytes than any answer has.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "oversized-reply" })
})
