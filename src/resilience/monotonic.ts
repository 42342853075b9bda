/** Time for whatever only waits and compares within this process: it never goes back. The calendar's clock may be set back by an hour, and what is
 * remembered "for 50 ms" would then be remembered for an hour. */
import { Clock, Effect } from "effect"

export const monotonicMsOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** Milliseconds since no particular moment. */
export const monotonicMs: Effect.Effect<number> = Effect.map(Clock.Clock, monotonicMsOf)
