/** A node signs other wrong shares each time it is asked. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const equivocation = defineVerb({
  name: "equivocation",
  does: "A node signs other wrong shares each time it is asked.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "equivocation" })
})
