/** Lets a few bytes through at a time. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const slowDrip = defineVerb({
  name: "slow-drip",
  does: "Lets a few bytes through at a time.",
  targets: ["gateway", "kms", "nats-server", "postgres", "rpc", "store"],
  parameters: {
    bytesPerSecond: { unit: "bytes/s", least: 1, most: 100_000, usual: 200, says: "each way" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "What has gathered goes out, and bytes are as fast as before.",
  takesPeer: true,
  apply: (levers, target, { bytesPerSecond }, peer) => levers.link(target, peer, { type: "slow-drip", bytesPerSecond })
})
