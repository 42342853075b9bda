/** An endpoint takes a transaction and answers that its nonce was used. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const nonceTooLow = defineVerb({
  name: "nonce-too-low",
  does: "An endpoint takes a transaction and answers that its nonce was used.",
  targets: ["rpc"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers with the hash.",
  apply: (levers, target) => levers.rpc(target, { type: "nonce-too-low" })
})
