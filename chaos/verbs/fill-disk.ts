/** Leaves no room to write. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const fillDisk = defineVerb({
  name: "fill-disk",
  does: "Leaves no room to write.",
  targets: ["gateway", "nats-server", "postgres", "kms"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "There is room again.",
  apply: (levers, target) => levers.fillDisk(target)
})
