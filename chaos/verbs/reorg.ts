/** Replaces the newest blocks of the chain by others. */
import { nothingToUndo } from "../rig.ts"
import { BOTH_RIGS, defineVerb } from "../verb.ts"

export const reorg = defineVerb({
  name: "reorg",
  does: "Replaces the newest blocks of the chain by others.",
  targets: ["chain"],
  parameters: {
    depth: { unit: "blocks", least: 1, most: 32, usual: 3, says: "blocks that go" },
    lostShare: { unit: "share", least: 0, most: 1, usual: 0, says: "of the requests in them that do not come back" }
  },
  rigs: BOTH_RIGS,
  duration: "at once",
  ends: "The chain goes on from the new blocks.",
  apply: async (levers, _target, { depth, lostShare }) => {
    await levers.reorg(depth, lostShare)
    return nothingToUndo
  }
})
