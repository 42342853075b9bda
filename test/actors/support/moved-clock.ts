/** A clock that a test sets forward at will, while sleeps stay real: what depends on time passing need not be waited for. */
import { Clock, Effect } from "effect"

export interface MovedClock {
  readonly clock: Clock.Clock
  readonly forward: (ms: number) => void
  /** The calendar only, as when somebody corrects a clock. */
  readonly setBack: (ms: number) => void
  readonly nowMs: () => number
}

export const movedClock = (): MovedClock => {
  let aheadMs = 0
  let wrongMs = 0
  const nowMs = () => Date.now() + aheadMs - wrongMs
  const nanos = () => BigInt(nowMs()) * 1_000_000n
  const monotonic = () => process.hrtime.bigint() + BigInt(aheadMs) * 1_000_000n
  const real = Effect.runSync(Clock.Clock)
  const clock: Clock.Clock = {
    ...real,
    currentTimeMillisUnsafe: nowMs,
    currentTimeMillis: Effect.sync(nowMs),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => real.sleep(duration)
  }
  return { clock, forward: (ms) => (aheadMs += ms), setBack: (ms) => (wrongMs += ms), nowMs }
}
