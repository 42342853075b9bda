/**
 * A node's own eyes on the chain. It never takes a gateway's word for what stands there: this is asked over the node operator's
 * own connection. An unreachable chain is an error, "no" is an answer.
 */
import { Context, type Effect, Schema } from "effect"
import type { Committee } from "../domain/committee.ts"
import type { Fate } from "../domain/fate.ts"
import type { Hex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"

/** The chain could not be asked, or its answer contradicts itself. Nothing is known. */
export class ChainViewUnavailable extends Schema.TaggedError<ChainViewUnavailable>()("ChainViewUnavailable", {
  doing: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

/** When a block is final enough to give out a share on its word. The node's operator decides, not the gateway's. */
export type NodeFinalityPolicy =
  | { readonly type: "latest" }
  | { readonly type: "confirmations"; readonly blocks: number }
  | { readonly type: "safe" }
  | { readonly type: "finalized" }

/**
 * Why the contracts do not allow what is asked. `unknown-request`: a handle that nobody registered, or that is of another epoch.
 */
export type Denial = "not-allowed" | "not-public" | "not-delegated" | "unknown-request" | "epoch-retired"

export interface Inspection {
  /** `unsettled`: the latest block has it, the final-enough one does not yet. */
  readonly status: "unknown" | "unsettled" | "requested" | "fulfilled"
  /** Its deadline lies before the timestamp of the newest block. */
  readonly isExpired: boolean
  readonly denial: Denial | undefined
  /** Registered sha256 of each handle's ciphertext, in the request's order; undefined where nobody registered one. */
  readonly digests: ReadonlyArray<Hex | undefined>
}

export class NodeChainView extends Context.Service<
  NodeChainView,
  {
    readonly chainId: bigint
    /**
     * Addresses, lower case: the contract that requests are made to, and the CiphertextRegistry that is part of every identity.
     */
    readonly gateway: Hex
    readonly registry: Hex
    /** What the final-enough block says of this request. Only for requests of this chain and gateway. */
    readonly inspect: (request: DecryptionRequest) => Effect.Effect<Inspection, ChainViewUnavailable>
    /** The record of an epoch; undefined when there is none. Whether it is retired by now, `inspect` says. */
    readonly committee: (epoch: number) => Effect.Effect<Committee | undefined, ChainViewUnavailable>
  }
>()("portcullis/kms-node/NodeChainView") {}
