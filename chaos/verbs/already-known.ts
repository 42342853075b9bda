/** An endpoint takes a transaction and answers that it had it before. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const alreadyKnown = defineVerb({
  name: "already-known",
  does: "An endpoint takes a transaction and answers that it had it before.",
  targets: ["rpc"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers with the hash.",
  apply: (levers, target) => levers.rpc(target, { type: "already-known" })
})
