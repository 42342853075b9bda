/** One question to one node. The answer is authentic (signed by the pinned identity) when it comes back; whether it is right shows in step 5. */
import { Effect } from "effect"
import { nodeOf, type NodeId } from "../../domain/committee.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import { Committees } from "./committee.port.ts"
import { ShareNodes } from "./share-node.port.ts"

export const askForShare = Effect.fnUntraced(function* (nodeId: NodeId, id: RequestId, facts: DecryptionRequest) {
  const committees = yield* Committees
  const nodes = yield* ShareNodes
  const committee = yield* committees.committee(facts.epoch)
  return yield* nodes.share(nodeOf(committee, nodeId), id, facts)
})
