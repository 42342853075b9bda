/**
 * Why a node says no. Refusals speak about the request or about the moment, never about the node's own mistakes: those are
 * defects, which the caller sees as "internal" and the operator in the log. No secret, share or plaintext ever stands in one.
 */
import { Schema } from "effect"
import type { Fate } from "../domain/fate.ts"

/**
 * What each reason means for the asker. "refuse": this node will say the same again as long as the chain says the same. "retry":
 * nothing was decided; come back after `retryAfterMs`.
 */
export const REFUSALS = {
  /** The account has no permission for a handle. */
  "not-allowed": "refuse",
  /** A handle is not allowed to become public. */
  "not-public": "refuse",
  /** The requester may not act for the account. */
  "not-delegated": "refuse",
  /** The chain has no such request, or it belongs to another chain or gateway. */
  "unknown-request": "refuse",
  /** Somebody has put a result on chain already. */
  "already-fulfilled": "refuse",
  /** Its deadline has passed, by the chain's clock. */
  expired: "refuse",
  /** The node holds no usable share of this epoch. */
  "epoch-unknown": "refuse",
  "epoch-retired": "refuse",
  /** Not a canonical point of the prime-order subgroup of G1, or the identity. */
  "transport-key-invalid": "refuse",
  /** The ciphertext is not the one that was registered for the handle, or nobody registered one. */
  "ciphertext-mismatch": "refuse",
  /** The result is not what the ciphertexts, or the committee's keys, say. */
  "result-wrong": "refuse",
  /** Not a message of this protocol. */
  malformed: "refuse",
  /** This caller has asked for more than its share of the node's time. */
  "too-many-requests": "retry",
  /** The node cannot see the chain at the moment. */
  "chain-unavailable": "retry",
  /** The request is on chain, but its block is not final enough for this node's operator, or this node's chain is behind. */
  "chain-behind": "retry",
  /** The node is shutting down. */
  draining: "retry"
} as const satisfies Record<string, Fate>

export type RefusalReason = keyof typeof REFUSALS
export const REFUSAL_REASONS = Object.keys(REFUSALS) as ReadonlyArray<RefusalReason>

export class Refusal extends Schema.TaggedError<Refusal>()("KmsNodeRefusal", {
  reason: Schema.Literals(REFUSAL_REASONS),
  detail: Schema.String,
  /** 0 for those that are final. */
  retryAfterMs: Schema.Int
}) {
  get fate(): Fate {
    return REFUSALS[this.reason]
  }
}

/** How long to stay away when nothing better is known. */
const RETRY_AFTER_MS = 500

export const refuse = (reason: RefusalReason, detail: string, retryAfterMs?: number): Refusal =>
  new Refusal({ reason, detail, retryAfterMs: retryAfterMs ?? (REFUSALS[reason] === "retry" ? RETRY_AFTER_MS : 0) })
