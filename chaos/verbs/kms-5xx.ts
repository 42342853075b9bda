/** A node answers with an error of its own. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const kms5xx = defineVerb({
  name: "kms-5xx",
  does: "A node answers with an error of its own.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is honest again.",
  apply: (levers, target) => levers.kms(target, { type: "5xx" })
})
