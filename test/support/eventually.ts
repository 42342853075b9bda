/** Waiting for something to become true, by looking, with a deadline; never by sleeping and hoping. */
import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"

const LOOK_AGAIN_MS = 5
/** Far more than anything takes here, also on a machine that does ten other things: it only says when to give up. */
export const DEADLINE_MS = 30_000

/** Resolves with the first value that is neither undefined nor false; fails with `what` after the deadline. */
export const eventually = async <T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = DEADLINE_MS
): Promise<T> => {
  const until = performance.now() + deadlineMs
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    assert(performance.now() < until, `not within ${deadlineMs} ms: ${what}`)
    await pause(LOOK_AGAIN_MS)
  }
}
