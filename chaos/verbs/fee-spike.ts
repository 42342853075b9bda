/** The price of gas rises. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const feeSpike = defineVerb({
  name: "fee-spike",
  does: "The price of gas rises.",
  targets: ["chain"],
  parameters: {
    times: { unit: "times", least: 2, most: 100, usual: 20, says: "what it was" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The price falls as the chain's rule lets it.",
  apply: (levers, _target, { times }) => levers.raiseFees(times)
})
