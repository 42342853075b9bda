/** Ends a process with SIGKILL: nothing is tidied up. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const kill = defineVerb({
  name: "kill",
  does: "Ends a process with SIGKILL: nothing is tidied up.",
  targets: ["gateway", "kms", "nats-server", "postgres", "standby"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is started again.",
  apply: async (levers, target) => {
    await levers.kill(target)
    return () => levers.start(target)
  }
})
