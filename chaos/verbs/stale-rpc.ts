/** An endpoint answers as the chain was some blocks ago. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const staleRpc = defineVerb({
  name: "stale-rpc",
  does: "An endpoint answers as the chain was some blocks ago.",
  targets: ["rpc"],
  parameters: {
    blocks: { unit: "blocks", least: 1, most: 64, usual: 5, says: "behind" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It has caught up.",
  apply: (levers, target, { blocks }) => levers.rpc(target, { type: "stale", blocks })
})
