/** What can be told about a request: facts that a step established, ends it ran into, and signals from the world. Public data only: this
 * travels over the bus and stands in the transition log for ever, so no share, key or plaintext may ever become part of it. */
import type { NodeId } from "./committee.ts"
import type { Hex } from "./hex.ts"
import type { Milestone, RequestState } from "./journey.ts"
import type { Anchor, RequestId } from "./request.ts"

export interface BlockRef {
  readonly blockNumber: number
  readonly blockHash: Hex
}

/** Why a request ends in `refused`: an answer about the request, never about our own health. */
export const REFUSAL_REASONS = [
  "not-allowed",
  "not-public",
  "not-delegated",
  "unknown-request",
  "ciphertext-too-large",
  "ciphertext-malformed",
  "transport-key-invalid",
  "epoch-retired"
] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** Facts, each named like the milestone it establishes, with the evidence it rests on. */
export type FactEvent =
  | { readonly type: "acl-checked"; readonly block: BlockRef }
  | { readonly type: "ciphertext-fetched"; readonly digests: ReadonlyArray<Hex> }
  | { readonly type: "shares-collected"; readonly nodes: ReadonlyArray<NodeId> }
  | {
      readonly type: "threshold-verified"
      readonly root: Hex
      readonly resultHash: Hex
      readonly nodes: ReadonlyArray<NodeId>
      readonly liars: ReadonlyArray<NodeId>
    }
  | { readonly type: "submitted"; readonly txHash: Hex; readonly block: BlockRef }
  | { readonly type: "finalized"; readonly txHash: Hex; readonly block: BlockRef }

export type EndEvent =
  | { readonly type: "refused"; readonly reason: RefusalReason; readonly detail: string }
  | { readonly type: "expired"; readonly detail: string }
  | { readonly type: "halted"; readonly reason: string; readonly detail: string }

/** What the world tells a request, durably, without being asked. */
export type SignalEvent =
  | { readonly type: "orphaned"; readonly block: BlockRef }
  | { readonly type: "moved"; readonly anchor: Anchor }
  | { readonly type: "cancelled"; readonly by: string; readonly why: string }
  /** An operator has mended what a request halted for. */
  | { readonly type: "redriven"; readonly by: string; readonly why: string }

/** A fact without what it rests on. `result-lost`: the verified result is not in this database, not on chain, and no transaction can carry it any
 * more: a failover took it, or the request halted, which deletes it, and was redriven (docs/adr/0023, 0024). */
export type LossEvent = { readonly type: "result-lost" }

export type RequestEvent = FactEvent | EndEvent | SignalEvent | LossEvent

/** Not now. No decision is made and nothing changes but the time of the next try. */
export interface Postponed {
  readonly type: "postponed"
  readonly reason: string
  readonly retryAfterMs: number
}

export type StepOutcome = FactEvent | EndEvent | LossEvent | Postponed

/** What a step answers about one request: the version it worked on tells a late answer from a current one. */
export interface OutcomeItem {
  readonly requestId: RequestId
  readonly version: number
  /** The state in which the work was given out. */
  readonly reached: Milestone
  readonly outcome: StepOutcome
}

/** A piece of work: only a hint. The ledger has the truth, and `version` says whether the hint is stale. */
export interface WorkItem {
  readonly requestId: RequestId
  readonly version: number
}

/** One line of a request's history, as operators and clients see it. */
export interface TransitionView {
  readonly seq: number
  readonly from: RequestState | null
  readonly to: RequestState
  readonly event: RequestEvent | { readonly type: "detected"; readonly anchor: Anchor }
  /** Milliseconds since the Unix epoch, by the database's clock. */
  readonly atMs: number
  readonly worker: string
  readonly hash: Hex
}
