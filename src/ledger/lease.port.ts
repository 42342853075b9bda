/** Who owns what, for how long: an efficiency lock. The fencing epoch is what makes it safe (reliability.md P6). */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface Lease {
  readonly name: string
  /** Grows with every change of owner; every write made under the lease carries it. */
  readonly epoch: bigint
}

/** Somebody else has the lease, or it cannot be known that nobody has. Nothing was written under it: whoever owns it now does the work. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", { name: Schema.String, epoch: Schema.String }) {
  readonly fate: Fate = "retry"
}

export const leaseLost = ({ name, epoch }: Lease): LeaseLost => new LeaseLost({ name, epoch: String(epoch) })

export class Leases extends Context.Service<
  Leases,
  {
    /** Takes every lease of these names that is free, expired or already ours, for `ms` by the database's clock. Answers those now ours. */
    readonly claim: (names: ReadonlyArray<string>, owner: string, ms: number) => Effect.Effect<ReadonlyArray<Lease>, LedgerUnavailable>
    /** Extends leases that are still ours under these epochs; the missing ones are lost. */
    readonly renew: (leases: ReadonlyArray<Lease>, owner: string, ms: number) => Effect.Effect<ReadonlyArray<Lease>, LedgerUnavailable>
    readonly resign: (leases: ReadonlyArray<Lease>, owner: string) => Effect.Effect<void, LedgerUnavailable>
    /** Deletes leases whose names begin so and that ended at least `endedMs` ago. Only for names that nobody takes again (they hold a boot nonce): a
     * name that came back would start at epoch 1, and a zombie's epoch could be current again. */
    readonly forget: (prefix: string, endedMs: number) => Effect.Effect<void, LedgerUnavailable>
    /** Every lease that somebody has at the moment, by name. */
    readonly holders: Effect.Effect<
      ReadonlyArray<{ readonly name: string; readonly owner: string; readonly epoch: bigint; readonly remainingMs: number }>,
      LedgerUnavailable
    >
  }
>()("portcullis/ledger/Leases") {}
