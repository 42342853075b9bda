/** Makes every byte take longer. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const delay = defineVerb({
  name: "delay",
  does: "Makes every byte take longer.",
  targets: ["gateway", "kms", "nats-server", "postgres", "rpc", "store"],
  parameters: {
    ms: { unit: "ms", least: 1, most: 30_000, usual: 300, says: "one way" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "Bytes are as fast as before.",
  takesPeer: true,
  apply: (levers, target, { ms }, peer) => levers.link(target, peer, { type: "delay", ms })
})
