/** A node is started anew and remembers nothing that it answered. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const kmsAmnesia = defineVerb({
  name: "kms-amnesia",
  does: "A node is started anew and remembers nothing that it answered.",
  targets: ["kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "It goes on, and does not know that it was asked before.",
  apply: (levers, target) => levers.kms(target, { type: "amnesia" })
})
