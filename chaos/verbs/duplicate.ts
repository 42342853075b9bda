/** Delivers messages of NATS to a gateway twice. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const duplicate = defineVerb({
  name: "duplicate",
  does: "Delivers messages of NATS to a gateway twice.",
  targets: ["gateway"],
  parameters: {
    share: { unit: "share", least: 0, most: 1, usual: 0.3, says: "of the messages" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "Messages are delivered as NATS sends them.",
  apply: (levers, target, { share }) => levers.messages(target, { type: "duplicate", share })
})
