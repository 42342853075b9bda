/** One response of an attested batch, carried alone: the contract takes it with a proof that it stands under the attested root, so that
 * nobody has to attest anything again. */
import { fromHex, type Hex, toHex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"
import { type AttestedBatch, partNameOf, responseLeaf, resultHashOf } from "../domain/response.ts"
import { merkleProof, merkleRoot } from "./merkle.ts"

const leavesOf = ({ responses }: AttestedBatch): ReadonlyArray<Uint8Array> =>
  responses.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))

export interface Part {
  readonly name: Hex
  readonly requestId: RequestId
}

/** None for what is one response already, and none when the responses are not those that were attested: then no proof would hold either. */
export const partsOf = (batch: AttestedBatch): ReadonlyArray<Part> => {
  const { attested, responses } = batch
  if (responses.length < 2 || toHex(merkleRoot(leavesOf(batch))) !== attested.root) return []
  return responses.map(({ requestId }) => ({ name: partNameOf(attested.root, requestId), requestId }))
}

/** Undefined when the batch has no such response. */
export const partOf = (batch: AttestedBatch, requestId: RequestId): AttestedBatch | undefined => {
  const index = batch.responses.findIndex((response) => response.requestId === requestId)
  const response = batch.responses[index]
  return response && { ...batch, responses: [response], proof: merkleProof(leavesOf(batch), index) }
}
