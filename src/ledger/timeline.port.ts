/**
 * Which history of the database this is. A standby that is promoted, or a copy that is restored, begins another one, and may lack what was
 * committed last: until the chain has been asked what was lost, the ledger takes no nonce and no signed bytes (docs/adr/0023).
 */
import { Context, type Effect } from "effect"
import { WORK_TIMEOUT_MS } from "../domain/limits.ts"
import type { Lease } from "./lease.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"
import type { SeenStanding, Standing } from "./standing.ts"

/** Who holds this lease reconciles. */
export const RECONCILE_LEASE = "reconcile"

/** `<system identifier>/<timeline>`: another cluster of servers has another first part, every promotion raises the second. When it was said of it
 * that it had lost commits, how often: `<system identifier>/<timeline>.<rewinds>`. */
export type History = string

export interface TimelineView {
  /** What the server is now. A crash and its recovery do not change it. */
  readonly here: History
  /** The history that was last compared with the chain; null when none ever was. */
  readonly reconciled: History | null
  /** When the newest change of history was noticed; null when there never was one. */
  readonly noticedAtMs: number | null
  readonly reconciledAtMs: number | null
  /** Somebody who remembered how far the database had come has seen that this life of the server lacks nothing. */
  readonly isVouched: boolean
  readonly standing: SeenStanding
}

/** A node that was asked just before the last commit that was lost may answer this much later: as long as a piece of work may take. */
export const ANSWERED_LATE_MS = WORK_TIMEOUT_MS

export const isReconciled = ({ here, reconciled }: TimelineView): boolean => here === reconciled

/** Whether lanes may take nonces and store signed bytes. */
export const isThawed = (view: TimelineView): boolean => isReconciled(view) && view.isVouched

/** What commands, and operators with their reasons, say. */
export interface Order {
  readonly by: string
  readonly why: string
}

export class Timeline extends Context.Service<
  Timeline,
  {
    readonly look: Effect.Effect<TimelineView, LedgerUnavailable>
    /**
     * Notes when this history was noticed, takes every lease away that was given under another one, and makes requests due whose results
     * are on their way. Said again it changes nothing. `undefined`: the lease is lost, or there is nothing to reconcile.
     */
    readonly begin: (lease: Lease) => Effect.Effect<History | undefined, LedgerUnavailable>
    /** Lanes may send again. `false`: the lease is lost, or the server's history is another one by now. */
    readonly finish: (lease: Lease, history: History) => Effect.Effect<boolean, LedgerUnavailable>
    /** This life of the server lacks nothing that `seen` should have: lanes may send. `false`: it is another life by now. */
    readonly vouch: (seen: Standing) => Effect.Effect<boolean, LedgerUnavailable>
    /** Commits may be lost: a new history begins here. `rewinds` is the highest number that is remembered. `false`: somebody has said so since
     * it was seen, or the server has started again. */
    readonly rewind: (seen: Standing, rewinds: number) => Effect.Effect<boolean, LedgerUnavailable>
    /** The same by hand, and written down. `false`: what was lost is being compared already, and nothing was written. */
    readonly order: (order: Order) => Effect.Effect<boolean, LedgerUnavailable>
  }
>()("portcullis/ledger/Timeline") {}
