/** Puts messages on the bus that nobody can read. */
import { nothingToUndo } from "../rig.ts"
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const poison = defineVerb({
  name: "poison",
  does: "Puts messages on the bus that nobody can read.",
  targets: ["nats"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "They are parked for an operator.",
  apply: async (levers) => {
    await levers.publishPoison()
    return nothingToUndo
  }
})
