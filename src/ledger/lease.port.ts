/** Who owns what, for how long: an efficiency lock. The fencing epoch is what makes it safe (reliability.md P6). */
import { Context, type Effect } from "effect"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface Lease {
  readonly name: string
  /** Grows with every change of owner; every write made under the lease carries it. */
  readonly epoch: bigint
}

export class Leases extends Context.Service<
  Leases,
  {
    /** Takes every lease of these names that is free, expired or already ours, for `ms` by the database's clock. Answers those now ours. */
    readonly claim: (names: ReadonlyArray<string>, owner: string, ms: number) => Effect.Effect<ReadonlyArray<Lease>, LedgerUnavailable>
    /** Extends leases that are still ours under these epochs; the missing ones are lost. */
    readonly renew: (leases: ReadonlyArray<Lease>, owner: string, ms: number) => Effect.Effect<ReadonlyArray<Lease>, LedgerUnavailable>
    readonly resign: (leases: ReadonlyArray<Lease>, owner: string) => Effect.Effect<void, LedgerUnavailable>
    readonly holders: Effect.Effect<
      ReadonlyArray<{ readonly name: string; readonly owner: string; readonly epoch: bigint; readonly remainingMs: number }>,
      LedgerUnavailable
    >
  }
>()("portcullis/ledger/Leases") {}
