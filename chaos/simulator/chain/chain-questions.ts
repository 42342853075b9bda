/** What the Ethereum adapters would have answered, worked out from one block of one endpoint: finality as adapters/ethereum/finality.ts has it,
 * permission as access-list.layer.ts, and so on. */
import type { FinalityPolicy, Permission } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import type { BlockRef } from "../../../src/domain/outcome.ts"
import { requestIdOf, type DecryptionRequest, type RequestId } from "../../../src/domain/request.ts"
import type { BlockHead, ReadBlock } from "../../../src/journey/1-detected/request-log.port.ts"
import { ancestorAt, refOf, type SimBlock } from "./sim-block.ts"
import { denialOf, statusOf } from "./sim-contract.ts"

export interface View {
  readonly head: SimBlock
  readonly finalizedNumber: number
}

export const headOf = ({ number, hash, parentHash, timestamp }: SimBlock): BlockHead => ({ number, hash, parentHash, timestamp })

export const readBlockOf = (block: SimBlock): ReadBlock => ({
  ...headOf(block),
  requests: block.opened.map(({ id, facts }, logIndex) => ({
    id,
    facts,
    anchor: { blockNumber: block.number, blockHash: block.hash, logIndex }
  }))
})

export const finalBlock = (view: View): SimBlock => settledBlock(view, { type: "finalized" })

/** The newest block that is final enough. */
export const settledBlock = (view: View, policy: FinalityPolicy): SimBlock => {
  const { head } = view
  const number =
    policy.type === "latest"
      ? head.number
      : policy.type === "confirmations"
        ? Math.max(0, head.number - policy.blocks)
        : policy.type === "safe"
          ? Math.min(head.number, view.finalizedNumber + 1)
          : view.finalizedNumber
  return ancestorAt(head, number) ?? head
}

export const finalityOf = (view: View, policy: FinalityPolicy, { blockNumber, blockHash }: BlockRef): "final" | "pending" | "gone" => {
  const final = settledBlock(view, policy)
  const standing = ancestorAt(view.head, blockNumber)
  if (standing === undefined) return "pending"
  if (standing.hash !== blockHash) return "gone"
  return final.number >= blockNumber ? "final" : "pending"
}

/** Undefined: the contract computes another id from these contents. */
export const permissionOf = (view: View, policy: FinalityPolicy, id: RequestId, request: DecryptionRequest): Permission | undefined => {
  if (requestIdOf(request) !== id) return undefined
  const at = settledBlock(view, policy)
  const block = refOf(at)
  const known = at.state.requests.get(id)
  const status = statusOf(known)
  if (status === "unknown") return { type: "unknown", block }
  if (status === "fulfilled") {
    const mined = view.head.state.requests.get(id)?.fulfilled
    return mined === undefined ? { type: "unknown", block } : { type: "fulfilled", txHash: mined.txHash, block: mined.block }
  }
  if (at.timestamp > request.deadline) return { type: "expired", block }
  const reason = denialOf(at.state, request)
  return reason === undefined ? { type: "allowed", block } : { type: "denied", reason, block }
}
