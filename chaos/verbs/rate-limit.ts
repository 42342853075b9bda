/** An endpoint answers 429. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const rateLimit = defineVerb({
  name: "rate-limit",
  does: "An endpoint answers 429.",
  targets: ["rpc"],
  parameters: {
    share: { unit: "share", least: 0, most: 1, usual: 0.7, says: "of the calls" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers every call.",
  apply: (levers, target, { share }) => levers.rpc(target, { type: "rate-limit", share })
})
