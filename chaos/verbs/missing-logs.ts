/** An endpoint leaves out logs and says nothing about it. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const missingLogs = defineVerb({
  name: "missing-logs",
  does: "An endpoint leaves out logs and says nothing about it.",
  targets: ["rpc"],
  parameters: {
    share: { unit: "share", least: 0, most: 1, usual: 0.5, says: "of the answers about logs that are empty" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers in full.",
  apply: (levers, target, { share }) => levers.rpc(target, { type: "missing-logs", share })
})
