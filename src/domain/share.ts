/** One node's signed answer: its shares for every handle of one request. */
import type { NodeId } from "./committee.ts"
import type { RequestId } from "./request.ts"

export interface ShareAnswer {
  readonly requestId: RequestId
  readonly epoch: number
  readonly nodeId: NodeId
  /** One for each handle, in the request's order: 48 bytes (public) or 192 bytes (user). Secret until released. */
  readonly shares: ReadonlyArray<Uint8Array>
  /** 65 bytes, EIP-712 `ShareAnswer`, by the node's identity key: makes a wrong share evidence. */
  readonly signature: Uint8Array
}

export const SHARE_BYTES = { public: 48, user: 192 } as const
