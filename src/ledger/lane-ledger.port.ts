/** Transaction lanes: one for each sending account. Batches wait in one queue for each chain, and lanes pull from it when they have room. A nonce
 * is taken in the transaction that stores the signed bytes, never before (I6, P12). */
import { Context, type Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"
import type { Lease } from "./lease.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface LaneId {
  readonly chainId: bigint
  readonly address: Hex
}

/** Who holds this lease drives the lane. */
export const laneLeaseName = ({ chainId, address }: LaneId): string => `lane/${chainId}/${address}`

/** Who holds this lease forgets what is final and old, for all lanes of the chain. */
export const laneHistoryLeaseName = (chainId: bigint): string => `lane-history/${chainId}`

/** A pulled batch that was neither taken nor put back by then belongs to everybody again (its lane has died): as long as a lease. */
export const PULLED_MS = 10_000
/** What failed waits before it is tried again, twice as long after each failure. */
export const FAILURE_PAUSE_FIRST_MS = 5_000
export const FAILURE_PAUSE_LONGEST_MS = 300_000

/** The root of a slot that carries no batch: its nonce is only there so that those above it can be mined. */
export const NO_BATCH: Hex = `0x${"00".repeat(32)}`

/** One signed transaction; several attempts can share a nonce (fee bumps), and any of them may be the one that is mined. */
export interface Attempt {
  readonly nonce: number
  readonly attemptNo: number
  readonly root: Hex
  readonly txHash: Hex
  readonly rawTx: Hex
  readonly gasLimit: bigint
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
  /** It sends nothing to itself, only to use up the nonce. */
  readonly isCancellation: boolean
  readonly signedAtMs: number
}

/** An attempt as it is read: the bytes of mined ones are read only when they are needed again, and forgotten a while after they are final. */
export type SeenAttempt = Omit<Attempt, "rawTx"> & { readonly rawTx: Hex | null }

/** One nonce of a lane and the batch it carries. `slot` is the persisted snapshot of its transaction-lane machine. */
export interface Slot {
  readonly nonce: number
  readonly root: Hex
  readonly version: number
  readonly snapshot: unknown
  readonly attempts: ReadonlyArray<SeenAttempt>
}

/** A batch waiting for a lane, or one result of a batch that was split (`root` is its name then: domain/response.ts). */
export interface WaitingBatch {
  readonly root: Hex
  readonly requestIds: ReadonlyArray<RequestId>
  /** How often a transaction with it was mined and reverted; a part begins with what its batch had. */
  readonly failures: number
  /** How often the contract would have rejected it, and was asked again later. */
  readonly rejections: number
  /** Why it was put back last. */
  readonly reason: string | null
}

/** How long what is final is remembered, in milliseconds. */
export interface LaneMemory {
  /** Signed bytes; what was signed, its hash and its fees stay. */
  readonly bytesMs: number
  /** Everything about a nonce, and what it cost. */
  readonly historyMs: number
}

/** What one mined transaction cost, divided among those who asked for its results. */
export interface Spent {
  readonly requester: Hex
  readonly wei: bigint
}

/** How a lane is, as whoever drives it saw it last. */
export interface LaneReport {
  /** `working`, or why it sends nothing new. */
  readonly state: string
  readonly balance: bigint | null
  readonly chainNonce: number | null
}

export interface LaneView extends LaneId {
  readonly owner: string | null
  readonly report: (LaneReport & { readonly atMs: number }) | null
  readonly nextNonce: number | null
  /** Lowest first. */
  readonly slots: ReadonlyArray<{ readonly nonce: number; readonly state: string; readonly attempts: number; readonly sinceMs: number }>
  readonly spent: bigint
}

export interface Backlog {
  /** Batches without a nonce, those that are put off included. */
  readonly waiting: number
  readonly putOff: number
  readonly oldestMs: number
}

/** One result of a batch that is carried alone. */
export interface BatchPart {
  readonly name: Hex
  readonly requestId: RequestId
  /** Recorded, but queued only when somebody asks for it. */
  readonly isWanted: boolean
}

interface SlotStart {
  readonly nonce: number
  readonly root: Hex
  readonly snapshot: unknown
  readonly attempt: Attempt
}

export class LaneLedger extends Context.Service<
  LaneLedger,
  {
    /** Puts a batch on the chain's queue; one that is queued or slotted already stays where it is, and its requests become those of both. A
     * batch whose nonce is final is queued again: whoever asks wants it carried again. Of one that was split, the parts are queued instead. */
    readonly enqueue: (chainId: bigint, root: Hex, requestIds: ReadonlyArray<RequestId>) => Effect.Effect<void, LedgerUnavailable>
    /** Reserves batches for this lane for `PULLED_MS`; no other lane is given them meanwhile. Those that it has reserved already come again; those
     * that are put off do not come before their time, and then behind all that could be carried before it. Nothing without the lease. */
    readonly pull: (lane: LaneId, lease: Lease, limit: number) => Effect.Effect<ReadonlyArray<WaitingBatch>, LedgerUnavailable>
    /** Everything on the queue, reserved or not, the oldest first. */
    readonly waiting: (chainId: bigint, limit: number) => Effect.Effect<ReadonlyArray<WaitingBatch>, LedgerUnavailable>
    readonly backlog: (chainId: bigint) => Effect.Effect<Backlog, LedgerUnavailable>
    /** The next nonce by the ledger (undefined when the lane never sent), and slots that are not final yet, in nonce order; those that were mined
     * without the bytes of their attempts. */
    readonly open: (
      lane: LaneId
    ) => Effect.Effect<{ readonly nextNonce: number | undefined; readonly slots: ReadonlyArray<Slot> }, LedgerUnavailable>
    /** One transaction, fenced by the lane's lease: nonce, signed bytes and first snapshot; the slot's version becomes 1 and the batch, which
     * the lane must have pulled, leaves the queue. `false`: the lease is lost, the nonce is taken, the batch is somebody else's, or the
     * database is in a history that nobody has compared with the chain (timeline.port.ts): nothing signed is stored then. */
    readonly take: (lane: LaneId, lease: Lease, slot: SlotStart) => Effect.Effect<boolean, LedgerUnavailable>
    /** The signed bytes of one attempt, for when a mined one has to be sent again. Undefined: there is none, or they are forgotten. */
    readonly signed: (lane: LaneId, nonce: number, attemptNo: number) => Effect.Effect<Hex | undefined, LedgerUnavailable>
    /** Nonces below the next one, from `from` on, that never had a slot: nothing above them can be mined. */
    readonly holes: (lane: LaneId, from: number, limit: number) => Effect.Effect<ReadonlyArray<number>, LedgerUnavailable>
    /** Stores a slot without a batch (`root` is NO_BATCH) at such a nonce. `false`: the lease is lost or there is no hole. */
    readonly fill: (lane: LaneId, lease: Lease, slot: SlotStart) => Effect.Effect<boolean, LedgerUnavailable>
    /** Only while the history of the database has not been compared with the chain, by whoever does that, under RECONCILE_LEASE: stores a slot
     * without a batch at the very next nonce, which lost commits may have used. */
    readonly adopt: (lane: LaneId, lease: Lease, slot: SlotStart) => Effect.Effect<boolean, LedgerUnavailable>
    /** Saves a decision about a slot by compare-and-set. `false`: stale, and nothing was written. */
    readonly save: (
      lane: LaneId,
      lease: Lease,
      change: {
        readonly nonce: number
        readonly version: number
        readonly snapshot: unknown
        readonly isFinal: boolean
        /** A further signed attempt. */
        readonly attempt?: Attempt
        /** What the mined transaction cost; replaces what was said of this nonce before. */
        readonly spent?: ReadonlyArray<Spent>
        /** The slot is final without having fulfilled its batch: it goes back to the queue, unless another slot carries it by now. A failure is
         * counted, and put off: `FAILURE_PAUSE_FIRST_MS`, doubled with each failure before, up to `FAILURE_PAUSE_LONGEST_MS`. */
        readonly giveBack?: { readonly reason: string; readonly isFailure: boolean }
      }
    ) => Effect.Effect<boolean, LedgerUnavailable>
    /** Puts a pulled batch back on the queue for everybody, not to be pulled again for so long. A rejection is counted. */
    readonly putBack: (
      lane: LaneId,
      lease: Lease,
      root: Hex,
      reason: string,
      afterMs: number,
      isRejection?: boolean
    ) => Effect.Effect<void, LedgerUnavailable>
    /** Puts parts in the place of a pulled batch that stays in one piece no more: they wait where it waited, with its failures, and whoever
     * enqueues the batch from now on enqueues its parts. `false`: it was not this lane's to split. */
    readonly split: (lane: LaneId, lease: Lease, root: Hex, parts: ReadonlyArray<BatchPart>, reason: string) => Effect.Effect<boolean, LedgerUnavailable>
    /** Takes a batch off the queue that needs no transaction (all of it is on chain already, or nobody wants it any more). */
    readonly discard: (lane: LaneId, lease: Lease, root: Hex) => Effect.Effect<void, LedgerUnavailable>
    /** The batch of this open slot may be carried by another slot as well: it goes back to the queue, while the slot stays as it is. `false`
     * when it is not this slot that carries it. */
    readonly release: (lane: LaneId, lease: Lease, nonce: number, reason: string) => Effect.Effect<boolean, LedgerUnavailable>
    /** The requests that stand under a root. */
    readonly requestsOf: (root: Hex) => Effect.Effect<ReadonlyArray<RequestId>, LedgerUnavailable>
    /** Whether a transaction with this batch, or with a part of it, may still be mined or sent: a request that stands in it lives, it is queued, or a slot that carries it is
     * not final. Once it is `false`, it stays so until the batch is kept or queued anew. */
    readonly isOnItsWay: (root: Hex) => Effect.Effect<boolean, LedgerUnavailable>
    /** Lanes of a chain with slots that are not final. */
    readonly busy: (chainId: bigint) => Effect.Effect<ReadonlyArray<LaneId>, LedgerUnavailable>
    /** What was spent on a chain in the last `windowMs`, by the database's clock: by this lane, and by each requester who spent more than
     * `requesterMax`. */
    readonly spending: (
      lane: LaneId,
      windowMs: number,
      requesterMax: bigint
    ) => Effect.Effect<{ readonly lane: bigint; readonly overBudget: ReadonlySet<Hex> }, LedgerUnavailable>
    /** Forgets what is final and older than this, at most `limit` of each kind, on every lane of a chain; answers how much that was. Never anything of a
     * nonce that is not final. Nothing without the lease. */
    readonly forget: (lease: Lease, chainId: bigint, memory: LaneMemory, limit: number) => Effect.Effect<number, LedgerUnavailable>
    readonly report: (lane: LaneId, lease: Lease, report: LaneReport) => Effect.Effect<void, LedgerUnavailable>
    /** Every lane that ever was, as operators see it. */
    readonly lanes: (windowMs: number) => Effect.Effect<ReadonlyArray<LaneView>, LedgerUnavailable>
  }
>()("portcullis/ledger/LaneLedger") {}
