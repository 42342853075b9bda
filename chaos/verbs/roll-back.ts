/** A store that goes back in time: a restored backup, a disk that lied about fsync. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const rollBack = defineVerb({
  name: "roll-back",
  does: "Puts an older copy of what NATS has stored in its place: confirmed messages were never sent, settled ones come back.",
  targets: ["nats"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "The copy made at the beginning is put in place of the store, and the servers come up with it.",
  apply: (levers) => levers.rollBackNats()
})
