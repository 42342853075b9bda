/** Accepts connections and bytes and never answers: no error at all. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const halfOpen = defineVerb({
  name: "half-open",
  does: "Accepts connections and bytes and never answers: no error at all.",
  targets: ["gateway", "kms", "nats-server", "postgres", "rpc", "store"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "Connections that were open are closed; new ones work.",
  takesPeer: true,
  apply: (levers, target, _values, peer) => levers.link(target, peer, { type: "half-open" })
})
