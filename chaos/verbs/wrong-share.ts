/** A node signs shares that are well formed and wrong. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const wrongShare = defineVerb({
  name: "wrong-share",
  does: "A node signs shares that are well formed and wrong.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "wrong-share" })
})
