/** The durable request: what the coordinator and the sweeper need. Postgres is the truth; everything else is a hint. */
import { Context, type Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { Milestone, RequestState } from "../domain/journey.ts"
import type { SignalEvent, TransitionView } from "../domain/outcome.ts"
import type { RequestId } from "../domain/request.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"
import type { Change, Saved, StoredRequest } from "./stored-request.ts"

/** A message that is owed to the bus. */
export interface OutboxRow {
  readonly id: bigint
  readonly requestId: RequestId
  readonly version: number
  readonly reached: Milestone
  /** Unix seconds; the request's deadline. */
  readonly deadline: number
}

/** A message that waits for its turn. */
export interface WaitingWork extends OutboxRow {
  readonly partition: number
  /** Whose turn it takes. */
  readonly requester: Hex
}

/** Messages owed about requests in one state. */
export interface Backlog {
  readonly reached: Milestone
  readonly count: number
  readonly oldestMs: number
}

/** A request whose wake-up time has passed. `claims` counts how often it was claimed without any answer since (P15). */
export interface Overdue {
  readonly requestId: RequestId
  readonly partition: number
  readonly version: number
  readonly state: RequestState
  readonly claims: number
  /** Unix seconds. */
  readonly deadline: number
  /** By more than a second, by the database's clock: a node whose own clock is ahead must not end what others could still answer. */
  readonly isPastDeadline: boolean
  /** Why it was postponed last in this state, if it was. */
  readonly lastReason: string | null
}

/** How much there is to do, wherever it is done. */
export interface Workload {
  /** Requests that have not ended; not counted beyond the given bound. */
  readonly underWay: number
  /** Messages that wait to be given out. */
  readonly owed: number
  readonly oldestOwedMs: number
}

/** 0 where nothing is overdue. */
export interface OldestOverdue {
  /** The number to page on. Counted from the last time that a step was resumed, for what has waited until then could not move. */
  readonly seconds: number
  readonly pausedSeconds: number
}

export interface PendingSignal {
  readonly id: bigint
  readonly requestId: RequestId
  readonly event: SignalEvent
}

export interface RequestSummary {
  readonly id: RequestId
  readonly kind: "public" | "user"
  readonly state: RequestState
  readonly version: number
  readonly detectedAtMs: number
  readonly endedAtMs: number | null
  readonly handles: number
  readonly lastEvent: TransitionView["event"]
}

export class RequestLedger extends Context.Service<
  RequestLedger,
  {
    /** Unknown ids are missing from the answer. Order is not promised. */
    readonly load: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyArray<StoredRequest>, LedgerUnavailable>
    /**
     * P1: row-version and lease-epoch compare-and-set, with transition, wake-up and outbox rows, in one statement for all changes
     * together. Answers only after the commit. At most one change for each request in a call.
     */
    readonly save: (changes: ReadonlyArray<Change>, worker: string) => Effect.Effect<ReadonlyArray<Saved>, LedgerUnavailable>
    /** Sets the time of the next try and starts counting claims anew, if the request still stands at `version`. */
    readonly postpone: (
      items: ReadonlyArray<{ readonly requestId: RequestId; readonly version: number; readonly afterMs: number; readonly reason: string }>
    ) => Effect.Effect<void, LedgerUnavailable>
    /** Claims overdue requests of these partitions that stand under one of these machine versions (one that the caller cannot read is left alone, so
     * that it never counts as poisoned): counts the claim and moves the wake-up time `againAfterMs` ahead (twice, four, eight times that far
     * with every further claim), in one statement. Requests in a state of `paused` are left alone too, unless their deadline has passed by more than
     * a second: nobody works on them at the moment, and that is not their fault. */
    readonly claimOverdue: (
      partitions: ReadonlyArray<number>,
      limit: number,
      againAfterMs: number,
      machineVersions: ReadonlyArray<number>,
      paused?: ReadonlyArray<Milestone>
    ) => Effect.Effect<ReadonlyArray<Overdue>, LedgerUnavailable>
    /** Overdue requests of these partitions that stand under none of these machine versions: they wait for a build that can read them. */
    readonly unreadable: (
      partitions: ReadonlyArray<number>,
      machineVersions: ReadonlyArray<number>
    ) => Effect.Effect<number, LedgerUnavailable>
    /** Outbox rows older than `olderThanMs` (younger ones are on their way from the dispatcher that wrote them). */
    readonly owed: (
      partitions: ReadonlyArray<number>,
      olderThanMs: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<OutboxRow>, LedgerUnavailable>
    /**
     * Owed messages of one state, one of each requester in turn, beginning with the first requester above `after`; each requester's oldest first.
     * Fewer than `limit` does not mean that there are no more. Leaves out what has been decided about since.
     */
    readonly owedInTurn: (wanted: {
      readonly partitions: ReadonlyArray<number>
      readonly reached: Milestone
      readonly after: Hex
      readonly olderThanMs: number
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<WaitingWork>, LedgerUnavailable>
    readonly workload: (underWayAtMost: number) => Effect.Effect<Workload, LedgerUnavailable>
    /** What is owed in these partitions. */
    readonly backlog: (partitions: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<Backlog>, LedgerUnavailable>
    /**
     * Work that has not been given out cannot be overdue: moves the wake-ups of what has been owed for some seconds `byMs` ahead (deadlines
     * stay), and forgets what is owed about requests that have been decided about since.
     */
    readonly putOffOwed: (partitions: ReadonlyArray<number>, byMs: number) => Effect.Effect<void, LedgerUnavailable>
    /** Deletes outbox rows whose messages the bus has confirmed. Where that took seconds, the time for an answer begins only now. */
    readonly settle: (outboxIds: ReadonlyArray<bigint>) => Effect.Effect<void, LedgerUnavailable>
    /** Signals wait in the ledger until a decision answers them. */
    readonly signal: (requestId: RequestId, event: SignalEvent) => Effect.Effect<void, LedgerUnavailable>
    readonly signals: (partitions: ReadonlyArray<number>, limit: number) => Effect.Effect<ReadonlyArray<PendingSignal>, LedgerUnavailable>
    /** Signals that no longer concern anybody (the request ignores them in its state). */
    readonly dropSignals: (ids: ReadonlyArray<bigint>) => Effect.Effect<void, LedgerUnavailable>
    readonly history: (id: RequestId) => Effect.Effect<ReadonlyArray<TransitionView>, LedgerUnavailable>
    /** Newest first. */
    readonly list: (filter: {
      readonly state?: RequestState
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<RequestSummary>, LedgerUnavailable>
    readonly countByState: Effect.Effect<Readonly<Partial<Record<RequestState, number>>>, LedgerUnavailable>
    /** How long ago the most overdue wake-ups were due, of requests that should move and of those in a state of `paused`. */
    readonly oldestOverdue: (paused: ReadonlyArray<Milestone>) => Effect.Effect<OldestOverdue, LedgerUnavailable>
    readonly ping: Effect.Effect<void, LedgerUnavailable>
  }
>()("portcullis/ledger/RequestLedger") {}
