/** Takes the key of a sending account away from a gateway. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const loseLaneKey = defineVerb({
  name: "lose-lane-key",
  does: "Takes the key of a sending account away from a gateway.",
  targets: ["gateway"],
  parameters: {
    lane: { unit: "lane", least: 1, most: 16, usual: 1, says: "which one" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The key is there again.",
  apply: (levers, target, { lane }) => levers.loseLaneKey(target, lane)
})
