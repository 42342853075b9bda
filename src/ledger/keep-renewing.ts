/**
 * The law of renewal, the same on a thread of its own and in a fiber: every lease that is held is extended in one statement, each time its trust
 * window moves on, counted from before the question was sent; one that the ledger no longer knows as ours is trusted no more.
 */
import { Cause, Clock, Duration, Effect } from "effect"
import { LEASE_MS, LEASE_RENEW_MS, LEASE_SAFETY_MS } from "../domain/limits.ts"
import { type Lease, Leases } from "./lease.port.ts"

/** Nanoseconds of the monotonic clock until which a lease is trusted; 0 for one that is lost. Shared between threads where there are two. */
export class Trust {
  readonly memory: SharedArrayBuffer
  private readonly cell: BigInt64Array

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory
    this.cell = new BigInt64Array(memory)
  }

  get untilNanos(): bigint {
    return Atomics.load(this.cell, 0)
  }

  until(nanos: bigint): void {
    Atomics.store(this.cell, 0, nanos)
  }

  end(): void {
    this.until(0n)
  }
}

export interface LeaseTiming {
  readonly leaseMs: number
  readonly renewMs: number
  readonly safetyMs: number
}

export const LEASE_TIMING: LeaseTiming = { leaseMs: LEASE_MS, renewMs: LEASE_RENEW_MS, safetyMs: LEASE_SAFETY_MS }

/** The end of the window that an answer to a question asked at this moment opens. */
export const trustedFrom = (askedNanos: bigint, { leaseMs, safetyMs }: LeaseTiming): bigint =>
  askedNanos + BigInt(leaseMs - safetyMs) * 1_000_000n

export interface KeptLease {
  readonly lease: Lease
  readonly owner: string
  readonly trust: Trust
}

/** One round. `stillKept` is asked after the answer has come: what was given back in between must not be trusted again. */
const renewOnce = Effect.fnUntraced(function* (
  kept: ReadonlyArray<KeptLease>,
  stillKept: (one: KeptLease) => boolean,
  timing: LeaseTiming
) {
  const leases = yield* Leases
  for (const [owner, some] of Map.groupBy(kept, (one) => one.owner)) {
    const askedNanos = yield* Clock.monotonicTimeNanos
    const renewed = new Set((yield* leases.renew(some.map(({ lease }) => lease), owner, timing.leaseMs)).map(({ name }) => name))
    for (const one of some.filter(stillKept)) {
      if (renewed.has(one.lease.name)) one.trust.until(trustedFrom(askedNanos, timing))
      else one.trust.end()
    }
  }
})

/** Rounds for ever, each begun at its time whether or not the one before was answered. One that fails or takes too long moves no window: they run
 * out by themselves if no later one succeeds. */
export const keepRenewing = (
  kept: () => ReadonlyArray<KeptLease>,
  stillKept: (one: KeptLease) => boolean,
  onFailure: (tag: string) => void,
  timing: LeaseTiming = LEASE_TIMING
): Effect.Effect<never, never, Leases> =>
  Effect.suspend(() => {
    const all = kept()
    return all.length === 0 ? Effect.void : renewOnce(all, stillKept, timing)
  }).pipe(
    Effect.timeout(Duration.millis(timing.renewMs)),
    // Whatever it was: a loop that ended would lose everything that is held.
    Effect.catchCause((cause) => Effect.sync(() => onFailure(cause.reasons.find(Cause.isFailReason)?.error._tag ?? "Defect"))),
    Effect.zip(Effect.sleep(Duration.millis(timing.renewMs)), { concurrent: true }),
    Effect.forever
  )
