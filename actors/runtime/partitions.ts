/** The partitions this process coordinates, each under a lease with a fencing epoch. Losing one is harmless: its writes match no row. */
import { Clock, Duration, Effect } from "effect"
import { LEASE_MS, LEASE_RENEW_MS, PARTITIONS } from "../../src/domain/limits.ts"
import { Leases, type Lease } from "../../src/ledger/lease.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { supervise } from "./supervise.ts"

/** We stop trusting a lease this long before the database would give it away. */
const SAFETY_MS = 1_000

export const partitionLease = (partition: number): string => `partition/${partition}`

export interface OwnedPartitions {
  /** The epoch under which this process may write to a partition; undefined when it is not (or no longer surely) ours. */
  readonly epochOf: (partition: number) => bigint | undefined
  readonly owned: () => ReadonlyArray<number>
}

/** Claims and renews for as long as the scope is open, then resigns. `onGain` runs for each partition as it becomes ours. */
export const ownPartitions = Effect.fnUntraced(function* (owner: string) {
  const leases = yield* Leases
  const telemetry = yield* Telemetry
  const held = new Map<number, { readonly lease: Lease; readonly trustedUntilNanos: bigint }>()
  const names = Array.from({ length: PARTITIONS }, (_, partition) => partitionLease(partition))

  const renew = Effect.gen(function* () {
    // The trust window starts before the question is asked, on the monotonic clock: the database may have answered at any time since.
    const askedNanos = yield* Clock.monotonicTimeNanos
    const mine = yield* leases.claim(names, owner, LEASE_MS)
    const trustedUntilNanos = askedNanos + BigInt(LEASE_MS - SAFETY_MS) * 1_000_000n
    held.clear()
    for (const lease of mine) held.set(names.indexOf(lease.name), { lease, trustedUntilNanos })
    telemetry.gauge("owned_partitions", held.size)
  }).pipe(
    Effect.timeout(Duration.millis(LEASE_RENEW_MS)),
    Effect.catch((error) => Effect.sync(() => telemetry.warn("leases not renewed", { error: error._tag })))
  )

  yield* Effect.addFinalizer(() =>
    leases.resign([...held.values()].map(({ lease }) => lease), owner).pipe(
      Effect.timeout(Duration.seconds(2)),
      Effect.ignore
    )
  )
  yield* renew
  yield* supervise("leases", Effect.andThen(Effect.sleep(Duration.millis(LEASE_RENEW_MS)), renew))

  const clock = yield* Clock.Clock
  const isTrusted = (until: bigint): boolean => clock.monotonicTimeNanosUnsafe() < until
  return {
    epochOf: (partition) => {
      const entry = held.get(partition)
      return entry !== undefined && isTrusted(entry.trustedUntilNanos) ? entry.lease.epoch : undefined
    },
    owned: () => [...held].filter(([, entry]) => isTrusted(entry.trustedUntilNanos)).map(([partition]) => partition)
  } satisfies OwnedPartitions
})
