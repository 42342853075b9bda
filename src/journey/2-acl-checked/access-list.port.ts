/** What `check-acl` needs from the chain: one question at one block. "Unavailable" is an error, "no" is an answer: never one type for both. */
import { Context, type Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { BlockRef, RefusalReason } from "../../domain/outcome.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../../domain/request.ts"
import type { ChainUnavailable } from "../1-detected/request-log.port.ts"

/** When a block counts as final enough to act on. */
export type FinalityPolicy =
  | { readonly type: "latest" }
  | { readonly type: "confirmations"; readonly blocks: number }
  | { readonly type: "safe" }
  | { readonly type: "finalized" }

/** What the access list can have against a request. */
export type Denial = Extract<RefusalReason, "not-allowed" | "not-public" | "not-delegated" | "epoch-retired" | "unknown-request">

export type Permission =
  | { readonly type: "allowed"; readonly block: BlockRef }
  | { readonly type: "denied"; readonly reason: Denial; readonly block: BlockRef }
  /** The contract does not know this request at the block that was asked. */
  | { readonly type: "unknown"; readonly block: BlockRef }
  /** Somebody has fulfilled it already, in this transaction. */
  | { readonly type: "fulfilled"; readonly txHash: Hex; readonly block: BlockRef }
  | { readonly type: "expired"; readonly block: BlockRef }

export class AccessList extends Context.Service<
  AccessList,
  {
    /** Whether the block at the anchor is final enough under the operator's policy. `gone`: another block stands at its height. */
    readonly finality: (anchor: Anchor) => Effect.Effect<"final" | "pending" | "gone", ChainUnavailable>
    /** Asked at a block that is final enough, recorded by number and hash. */
    readonly permission: (id: RequestId, request: DecryptionRequest) => Effect.Effect<Permission, ChainUnavailable>
  }
>()("portcullis/journey/2-acl-checked/AccessList") {}
