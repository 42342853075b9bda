/** The leases a process holds, by name, and what any keeper does with them; who renews them is told of each that comes and goes. */
import { Clock, Effect } from "effect"
import { type KeptLease, LEASE_TIMING, type LeaseTiming, Trust, trustedFrom } from "./keep-renewing.ts"
import type { HeldLease, LeaseKeeper } from "./lease-keeper.port.ts"
import type { Leases } from "./lease.port.ts"

export interface HeldLeases {
  readonly all: () => ReadonlyArray<KeptLease>
  readonly has: (one: KeptLease) => boolean
  readonly get: (name: string) => KeptLease | undefined
  readonly add: (one: KeptLease) => void
  readonly remove: (one: KeptLease) => void
}

export const heldLeases = (
  told: { readonly added: (one: KeptLease) => void; readonly removed: (one: KeptLease) => void } = { added: () => {}, removed: () => {} }
): HeldLeases => {
  const byName = new Map<string, KeptLease>()
  return {
    all: () => [...byName.values()],
    has: (one) => byName.get(one.lease.name) === one,
    get: (name) => byName.get(name),
    add: (one) => {
      byName.set(one.lease.name, one)
      told.added(one)
    },
    remove: (one) => {
      if (byName.get(one.lease.name) === one) byName.delete(one.lease.name)
      told.removed(one)
    }
  }
}

export const keeperOver = (leases: Leases["Service"], held: HeldLeases, timing: LeaseTiming = LEASE_TIMING): LeaseKeeper["Service"] => ({
  hold: Effect.fnUntraced(function* (names, owner) {
    const clock = yield* Clock.Clock
    const askedNanos = clock.monotonicTimeNanosUnsafe()
    const mine = yield* leases.claim(names, owner, timing.leaseMs)
    return mine.map((lease): HeldLease => {
      const before = held.get(lease.name)
      if (before !== undefined) {
        // Whoever still looks at the older one must not believe in it once a newer one is given back.
        held.remove(before)
        before.trust.end()
      }
      const one = { lease, owner, trust: new Trust() }
      one.trust.until(trustedFrom(askedNanos, timing))
      held.add(one)
      return { lease, isTrusted: () => held.has(one) && clock.monotonicTimeNanosUnsafe() < one.trust.untilNanos }
    })
  }),
  giveBack: (names, owner) =>
    Effect.suspend(() => {
      const mine = names.flatMap((name) => held.get(name) ?? []).filter((one) => one.owner === owner)
      for (const one of mine) held.remove(one)
      return mine.length === 0 ? Effect.void : leases.resign(mine.map(({ lease }) => lease), owner)
    })
})
