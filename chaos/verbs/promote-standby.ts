/** Promotes a standby that lacks the last commits. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const promoteStandby = defineVerb({
  name: "promote-standby",
  does: "Promotes a standby that has heard nothing for a while; the primary dies.",
  targets: ["standby"],
  parameters: {
    lostMs: { unit: "ms", least: 0, most: 10_000, usual: 1_000, says: "so long what is committed is lost" }
  },
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "Gateways find the new primary at the old address, and ask the chain what was lost.",
  apply: (levers, _target, { lostMs }) => levers.promoteStandby(lostMs)
})
