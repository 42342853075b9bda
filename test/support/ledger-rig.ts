/** What the laws of the ledger need of whatever they are held against: processes on it, its clock, and a way behind its back. */
import type { Effect } from "effect"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { NodeId } from "../../src/domain/committee.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { RequestId } from "../../src/domain/request.ts"

export interface LedgerProcess {
  readonly run: <A, E>(effect: Effect.Effect<A, E, Ledger>) => Promise<A>
  readonly close: () => Promise<void>
}

/** The rows themselves. What a database must refuse is refused by SQLSTATE, as `code` of the rejection. */
export interface BehindTheLedger {
  readonly askedNodes: (id: RequestId) => Promise<ReadonlyArray<NodeId>>
  readonly setAskedNodes: (id: RequestId, nodes: ReadonlyArray<NodeId>) => Promise<unknown>
  readonly deleteAsk: (id: RequestId) => Promise<unknown>
  readonly sealedShares: (id: RequestId) => Promise<ReadonlyArray<Uint8Array>>
  /** Puts the sealed share of one request into the row of another. */
  readonly copySealedShare: (from: RequestId, to: RequestId) => Promise<unknown>
  readonly sealedResults: (root: Hex) => Promise<ReadonlyArray<Uint8Array | null>>
  readonly alterAttempts: (root: Hex) => Promise<unknown>
  readonly deleteAttempts: (root: Hex) => Promise<unknown>
  /** Nothing in the place of the signed bytes. */
  readonly emptyAttempts: (root: Hex) => Promise<unknown>
  readonly deleteSlots: (root: Hex) => Promise<unknown>
  readonly alterTransition: (id: RequestId, seq: number) => Promise<unknown>
  readonly deleteTransition: (id: RequestId, seq: number) => Promise<unknown>
  readonly deleteAllTransitions: () => Promise<unknown>
  /** As a superuser who has switched the triggers off: the row's time is another now. */
  readonly tamperWithTransition: (id: RequestId, seq: number) => Promise<unknown>
}

export interface LedgerRig extends LedgerProcess {
  /** The database finds itself in another history than the one that was reconciled, as after a failover. */
  readonly failOver: () => Promise<unknown>
  /** The server crashes and recovers: nothing is lost. */
  readonly restart: () => Promise<unknown>
  /** A snapshot of the disk is taken before `work` and put back after it: the same server on the same timeline, without what was committed. */
  readonly setBack: (work: () => Promise<unknown>) => Promise<unknown>
  /** Another gateway process on the same database, with the same keys. */
  readonly another: () => LedgerProcess
  readonly behind: BehindTheLedger
  /** Unix milliseconds by the ledger's clock. */
  readonly nowMs: Effect.Effect<number>
  /** Makes the ledger's clock say later than it is, for everything about lanes that is not final. */
  readonly passLaneTime: (ms: number) => Effect.Effect<void>
  /** The same, also for what is final. */
  readonly passHistoryTime: (ms: number) => Effect.Effect<void>
  /** Lets time pass by the ledger's clock until `look` sees something, and answers that. */
  readonly eventually: <A, E, R>(what: string, look: Effect.Effect<A | undefined | false, E, R>) => Effect.Effect<A, E, R>
}
