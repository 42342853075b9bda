/** Transaction lanes: one for each sending account. A nonce is taken in the transaction that stores the signed bytes, never before (I6, P12). */
import { Context, type Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"
import type { Lease } from "./lease.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface LaneId {
  readonly chainId: bigint
  readonly address: Hex
}

/** One signed transaction; several attempts can share a nonce (fee bumps), and any of them may be the one that is mined. */
export interface Attempt {
  readonly nonce: number
  readonly attemptNo: number
  readonly root: Hex
  readonly txHash: Hex
  readonly rawTx: Hex
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
  readonly signedAtMs: number
}

/** One nonce of a lane and the batch it carries. `slot` is the persisted snapshot of its transaction-lane machine. */
export interface Slot {
  readonly nonce: number
  readonly root: Hex
  readonly version: number
  readonly snapshot: unknown
  readonly attempts: ReadonlyArray<Attempt>
}

/** A batch waiting for a lane. */
export interface WaitingBatch {
  readonly root: Hex
  readonly requestIds: ReadonlyArray<RequestId>
}

export class LaneLedger extends Context.Service<
  LaneLedger,
  {
    /** Puts a batch on a lane's queue; a root that is already queued or slotted anywhere stays where it is. Answers its lane. */
    readonly enqueue: (lane: LaneId, root: Hex, requestIds: ReadonlyArray<RequestId>) => Effect.Effect<LaneId, LedgerUnavailable>
    readonly waiting: (lane: LaneId, limit: number) => Effect.Effect<ReadonlyArray<WaitingBatch>, LedgerUnavailable>
    /** The next nonce by the ledger (undefined when the lane never sent), and slots that are not final yet, in nonce order. */
    readonly open: (lane: LaneId) => Effect.Effect<{ readonly nextNonce: number | undefined; readonly slots: ReadonlyArray<Slot> }, LedgerUnavailable>
    /** One transaction, fenced by the lane's lease: nonce, signed bytes and first snapshot; the slot's version becomes 1 and the batch leaves the queue. `false`: the lease is lost or the nonce is taken. */
    readonly take: (
      lane: LaneId,
      lease: Lease,
      slot: { readonly nonce: number; readonly root: Hex; readonly snapshot: unknown; readonly attempt: Attempt }
    ) => Effect.Effect<boolean, LedgerUnavailable>
    /** Saves a decision about a slot by compare-and-set, with a further signed attempt if there is one. `false`: stale. */
    readonly save: (
      lane: LaneId,
      lease: Lease,
      change: {
        readonly nonce: number
        readonly version: number
        readonly snapshot: unknown
        readonly isFinal: boolean
        readonly attempt?: Attempt
      }
    ) => Effect.Effect<boolean, LedgerUnavailable>
    /** Takes a batch off the queue that needs no transaction (all of it is on chain already, or nobody wants it any more). */
    readonly discard: (lane: LaneId, lease: Lease, root: Hex) => Effect.Effect<void, LedgerUnavailable>
    /** Puts the batch of a slot that is settled without having fulfilled it back on the queue; its next step decides what it still needs. */
    readonly requeue: (lane: LaneId, lease: Lease, root: Hex) => Effect.Effect<void, LedgerUnavailable>
    /** The requests that stand under a root. */
    readonly requestsOf: (root: Hex) => Effect.Effect<ReadonlyArray<RequestId>, LedgerUnavailable>
  }
>()("portcullis/ledger/LaneLedger") {}
