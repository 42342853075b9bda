/** One question to one node. The answer is authentic (signed by the pinned identity) when it comes back; whether it is right shows in step 5. */
import { nodeOf, type Committee, type NodeId } from "../../domain/committee.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import { ShareNodes } from "./share-node.port.ts"

export const askForShare = (committee: Committee, nodeId: NodeId, id: RequestId, facts: DecryptionRequest) =>
  ShareNodes.use((nodes) => nodes.share(nodeOf(committee, nodeId), id, facts))
