/** What is wrong with a share answer before its signature is looked at, whatever carried it. */
import type { CommitteeNode } from "../../domain/committee.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import { SHARE_BYTES, type ShareAnswer } from "../../domain/share.ts"

/** Undefined when nothing is. */
export const answerFault = (
  node: CommitteeNode,
  requestId: RequestId,
  request: DecryptionRequest,
  answer: ShareAnswer
): string | undefined => {
  if (answer.requestId !== requestId) return "it is about another request"
  if (answer.epoch !== request.epoch) return "it is of another epoch"
  if (answer.nodeId !== node.id) return "it is from another node"
  if (answer.shares.length !== request.handles.length) return "not one share for each handle"
  if (answer.shares.some((share) => share.length !== SHARE_BYTES[request.kind])) return "a share has the wrong length"
  return undefined
}
