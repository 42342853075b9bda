/** Stops a process with SIGSTOP: alive for the kernel, silent for everybody else. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const freeze = defineVerb({
  name: "freeze",
  does: "Stops a process with SIGSTOP: alive for the kernel, silent for everybody else.",
  targets: ["gateway", "kms", "nats-server"],
  parameters: {},
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It is thawed, and goes on as if no time had passed.",
  apply: async (levers, target) => {
    await levers.freeze(target)
    return () => levers.thaw(target)
  }
})
