/** Lets a frozen process go on, before its time or after. */
import { nothingToUndo } from "../rig.ts"
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const thaw = defineVerb({
  name: "thaw",
  does: "Lets a frozen process go on, before its time or after.",
  targets: ["gateway", "kms", "nats-server"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "It goes on where it was stopped.",
  apply: async (levers, target) => {
    await levers.thaw(target)
    return nothingToUndo
  }
})
