/** The store changes a byte. */
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const corruptCiphertext = defineVerb({
  name: "corrupt-ciphertext",
  does: "The store changes a byte.",
  targets: ["store"],
  parameters: {
    share: { unit: "share", least: 0, most: 1, usual: 0.5, says: "of the answers" }
  },
  rigs: BOTH_RIGS,
  duration: "lasts",
  ends: "It answers with what was put there.",
  apply: (levers, _target, { share }) => levers.store({ type: "corrupt", share })
})
