/** Deletes all that NATS has stored: streams, consumers, messages. */
import { nothingToUndo } from "../rig.ts"
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const wipe = defineVerb({
  name: "wipe",
  does: "Deletes all that NATS has stored: streams, consumers, messages.",
  targets: ["nats", "nats-server"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "The servers come up empty.",
  apply: async (levers, target) => {
    await levers.wipeNats(target)
    return nothingToUndo
  }
})
