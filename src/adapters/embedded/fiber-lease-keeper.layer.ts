/** Leases kept by a fiber of this process: for the simulator's virtual time and for tests. A loop that is blocked renews nothing; a gateway uses
 * the thread (postgres/thread-lease-keeper.layer.ts), which keeps the same law. */
import { Effect, Layer } from "effect"
import { heldLeases, keeperOver } from "../../ledger/held-leases.ts"
import { keepRenewing, type LeaseTiming } from "../../ledger/keep-renewing.ts"
import { LeaseKeeper } from "../../ledger/lease-keeper.port.ts"
import { Leases } from "../../ledger/lease.port.ts"

export interface FiberLeaseKeeperOptions {
  /** Hears of every round that renewed nothing, by the error's kind. */
  readonly onFailure?: (tag: string) => void
  readonly timing?: LeaseTiming
}

export const fiberLeaseKeeper = ({ onFailure = () => undefined, timing }: FiberLeaseKeeperOptions = {}): Layer.Layer<LeaseKeeper, never, Leases> =>
  Layer.effect(
    LeaseKeeper,
    Effect.gen(function* () {
      const held = heldLeases()
      yield* Effect.forkScoped(keepRenewing(held.all, held.has, onFailure, timing))
      return keeperOver(yield* Leases, held, timing)
    })
  )
