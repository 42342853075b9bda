/** What a rolling upgrade does to a node: SIGTERM, a drain, a start. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const restart = defineVerb({
  name: "restart",
  does: "Ends a process with SIGTERM, waits until it has drained, and starts it again.",
  targets: ["gateway", "kms", "nats-server"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is started again.",
  apply: async (levers, target) => {
    await levers.stop(target)
    return () => levers.start(target)
  }
})
