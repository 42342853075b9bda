/** The store answers 503. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const store503 = defineVerb({
  name: "store-503",
  does: "The store answers 503.",
  targets: ["store"],
  parameters: {
    share: { unit: "share", least: 0, most: 1, usual: 0.7, says: "of the answers" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers with what was put there.",
  apply: (levers, _target, { share }) => levers.store({ type: "status", status: 503, share })
})
