/** The chain in memory keeps what a real chain promises. */
import { dealCommittee } from "../support/kms-committee.ts"
import { chainDouble } from "../support/chain-double.ts"
import { nodeChainViewLaws } from "./node-chain-view.laws.ts"

nodeChainViewLaws("a chain in memory", async () => {
  const dealt = await dealCommittee()
  return { world: chainDouble(dealt.committee), close: dealt.remove }
})
