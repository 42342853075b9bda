/** Cuts a node off: bytes are held back and connections stay open. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

const DIRECTIONS = ["both", "in", "out"] as const

export const partition = defineVerb({
  name: "partition",
  does: "Cuts a node off: bytes are held back and connections stay open.",
  targets: ["gateway", "kms", "nats-server", "postgres", "rpc", "store"],
  parameters: {
    direction: { unit: "choice", least: 0, most: 2, usual: 0, says: "0 both ways, 1 what it would receive, 2 what it sends" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The link carries bytes again; what was held back arrives late.",
  takesPeer: true,
  apply: (levers, target, { direction }, peer) => levers.link(target, peer, { type: "cut", direction: DIRECTIONS[direction] ?? "both" })
})
