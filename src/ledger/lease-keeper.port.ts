/**
 * Keeps leases for as long as they are wanted: claims them, renews them beside the work, and says at any moment whether they may still be
 * trusted. Renewal does not run on the work's event loop where it can be helped: a loop that computes must not lose what it owns
 * (reliability.md P6, pain P17). It is an efficiency lock all the same; the epoch is what fences.
 */
import { Context, type Effect } from "effect"
import type { Lease } from "./lease.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface HeldLease {
  readonly lease: Lease
  /**
   * True while nobody else can have it: it ends before the ledger would give the lease away, counted on the monotonic clock from before the last
   * answered question was sent. Nothing may be written under a lease that is not trusted; it may become trusted again under the same epoch.
   */
  readonly isTrusted: () => boolean
}

export class LeaseKeeper extends Context.Service<
  LeaseKeeper,
  {
    /** Takes those of these names that are free, expired or already this owner's, and renews them until they are given back. Answers what it got. */
    readonly hold: (names: ReadonlyArray<string>, owner: string) => Effect.Effect<ReadonlyArray<HeldLease>, LedgerUnavailable>
    /** Trusts them no more, renews them no more, and resigns them. Names that are not held are ignored. When the ledger cannot be told, they expire. */
    readonly giveBack: (names: ReadonlyArray<string>, owner: string) => Effect.Effect<void, LedgerUnavailable>
  }
>()("portcullis/ledger/LeaseKeeper") {}
