/** The chain, as a transaction lane sees it. Signing is apart from broadcasting, because the signed bytes are stored in between. */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import type { BlockRef } from "../../domain/outcome.ts"
import type { RequestId } from "../../domain/request.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import type { BlockHead, ChainUnavailable } from "../1-detected/request-log.port.ts"

/** The chain looked at the transaction and would revert it: the attestation or our account is wrong, not the network. */
export class SubmissionRejected extends Schema.TaggedError<SubmissionRejected>()("SubmissionRejected", {
  reason: Schema.String
}) {
  readonly fate: Fate = "halt"
}

/** The account cannot pay. Another lane may. */
export class LaneOutOfFunds extends Schema.TaggedError<LaneOutOfFunds>()("LaneOutOfFunds", { address: Schema.String }) {
  readonly fate: Fate = "retry"
}

/** Estimates are made on the latest block; by the time of mining a skipped entry may cost less and a callback a little more. */
const GAS_MARGIN_PERCENT = 25n

/** The reason of a rejection that is ours, not the contract's. */
export const TOO_MUCH_GAS = "needs more gas than a block can give it"

/** What a transaction is given that needs so much gas. What is not used is not paid. */
export const withMargin = (gas: bigint): bigint => gas + (gas * GAS_MARGIN_PERCENT) / 100n

export interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/**
 * What became of a broadcast. `accepted` includes "already known". `nonce-used`: something with this nonce is on chain, perhaps one of
 * our own attempts: look at receipts. `underpriced`: a replacement must pay more.
 */
export type Broadcast = "accepted" | "nonce-used" | "underpriced"

export interface Mined {
  readonly txHash: Hex
  readonly block: BlockRef
  readonly isSuccess: boolean
  /** What its sender paid, in wei: gas used times the price it got. Missing where no receipt was looked at. */
  readonly cost?: bigint
  /** Requests that took effect in it; what others had fulfilled before was skipped. Missing where no receipt was looked at. */
  readonly fulfilled?: ReadonlyArray<RequestId>
}

export type RequestStatus = "unknown" | "requested" | "fulfilled"

export class ResultContract extends Context.Service<
  ResultContract,
  {
    readonly chainId: bigint
    readonly addresses: ReadonlyArray<Hex>
    /** Answers to what is asked within belong together: they come from one view of the chain, never one that lags and one that does not. */
    readonly together: <A, E, R>(questions: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    readonly latest: Effect.Effect<BlockHead, ChainUnavailable>
    /** The next nonce by the chain at the latest block; pending transactions are not counted. */
    readonly nonceOf: (address: Hex) => Effect.Effect<number, ChainUnavailable>
    /** The same with what this endpoint's mempool holds: at least so many nonces may have been given away. */
    readonly pendingNonceOf: (address: Hex) => Effect.Effect<number, ChainUnavailable>
    /** The same at the newest block that is final under the operator's policy: no reorganisation takes it back. */
    readonly finalNonceOf: (address: Hex) => Effect.Effect<number, ChainUnavailable>
    /** Wei at the newest block. */
    readonly balanceOf: (address: Hex) => Effect.Effect<bigint, ChainUnavailable>
    readonly fees: Effect.Effect<Fees, ChainUnavailable>
    /** Gas the fulfilment needs; rejected when it would revert, and when no block could hold it with its margin: no mempool would take it, and
     * nothing above its nonce could be mined. */
    readonly estimate: (address: Hex, batch: AttestedBatch) => Effect.Effect<bigint, ChainUnavailable | SubmissionRejected>
    readonly sign: (
      address: Hex,
      batch: AttestedBatch,
      tx: { readonly nonce: number; readonly gasLimit: bigint; readonly fees: Fees }
    ) => Effect.Effect<{ readonly rawTx: Hex; readonly txHash: Hex }>
    /** Nothing, sent to itself: it only uses up the nonce. */
    readonly signCancellation: (
      address: Hex,
      tx: { readonly nonce: number; readonly gasLimit: bigint; readonly fees: Fees }
    ) => Effect.Effect<{ readonly rawTx: Hex; readonly txHash: Hex }>
    readonly broadcast: (rawTx: Hex) => Effect.Effect<Broadcast, ChainUnavailable | LaneOutOfFunds>
    /** The first of these hashes that stands on the canonical chain. */
    readonly mined: (txHashes: ReadonlyArray<Hex>) => Effect.Effect<Mined | undefined, ChainUnavailable>
    /** Statuses at the latest block, in the order asked. */
    readonly statuses: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyArray<RequestStatus>, ChainUnavailable>
    /** Final enough under the operator's policy; `gone`: another block stands at its height. */
    readonly finality: (block: BlockRef) => Effect.Effect<"final" | "pending" | "gone", ChainUnavailable>
    /** The transaction in which this request was fulfilled, if it was. */
    readonly fulfilment: (id: RequestId) => Effect.Effect<Mined | undefined, ChainUnavailable>
  }
>()("portcullis/journey/6-submitted/ResultContract") {}
