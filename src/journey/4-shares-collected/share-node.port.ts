/** The KMS nodes of a committee, as the gateway may ask them. An answer is authentic (signed by the pinned identity) but not yet proved right. */
import { Context, type Effect, Schema } from "effect"
import type { CommitteeNode } from "../../domain/committee.ts"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import type { AttestedRoot } from "../../domain/response.ts"
import type { ShareAnswer } from "../../domain/share.ts"

/** The node did not answer, or not in time, or asked us to come back later. Nothing is known. */
export class NodeUnavailable extends Schema.TaggedError<NodeUnavailable>()("NodeUnavailable", {
  nodeId: Schema.Int,
  reason: Schema.String,
  retryAfterMs: Schema.Int
}) {
  readonly fate: Fate = "retry"
}

/** The node looked at the chain and said no. One node's no decides nothing: k others may say yes. */
export class NodeRefused extends Schema.TaggedError<NodeRefused>()("NodeRefused", {
  nodeId: Schema.Int,
  reason: Schema.String,
  detail: Schema.String
}) {
  readonly fate: Fate = "retry"
}

/** The answer is not one that a correct node gives: wrong form, wrong id, or not signed by the pinned identity. */
export class AnswerInvalid extends Schema.TaggedError<AnswerInvalid>()("AnswerInvalid", {
  nodeId: Schema.Int,
  reason: Schema.String
}) {
  readonly fate: Fate = "retry"
}

export type NodeError = NodeUnavailable | NodeRefused | AnswerInvalid

/** One result to be attested, with what a node needs to check it. */
export interface ResultToAttest {
  readonly requestId: RequestId
  readonly request: DecryptionRequest
  readonly result: Uint8Array
  /** Public requests: one for each handle. User requests: empty. */
  readonly openings: ReadonlyArray<{ readonly ciphertext: Uint8Array; readonly sigma: Uint8Array }>
}

export class ShareNodes extends Context.Service<
  ShareNodes,
  {
    readonly share: (node: CommitteeNode, requestId: RequestId, request: DecryptionRequest) => Effect.Effect<ShareAnswer, NodeError>
    /** The node's part of the attestation: 48 bytes (BLS, not yet verified) or 65 bytes (verified against the pinned identity). */
    readonly attest: (
      node: CommitteeNode,
      attested: AttestedRoot,
      results: ReadonlyArray<ResultToAttest>
    ) => Effect.Effect<Uint8Array, NodeError>
    /** What `doctor`, health and the node machines look at. */
    readonly describe: (
      node: CommitteeNode
    ) => Effect.Effect<
      { readonly nodeId: number; readonly identity: Hex; readonly epochs: ReadonlyArray<number>; readonly version: string; readonly clockMs: number },
      NodeError
    >
  }
>()("portcullis/journey/4-shares-collected/ShareNodes") {}
