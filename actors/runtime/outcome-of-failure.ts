/** From a failure's fate to what is told about the request: the one place where errors become gestures. */
import { Effect, Random } from "effect"
import type { Fate } from "../../src/domain/fate.ts"
import { RETRY_FIRST_MS, RETRY_LONGEST_MS } from "../../src/domain/limits.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { backoffMs } from "../../src/resilience/backoff.ts"
import { FailedTries } from "./failed-tries.ts"
import { placeOf } from "./supervise.ts"

interface Fated {
  readonly _tag: string
  readonly fate: Fate
  readonly reason?: string
}

/** First bound of the pause; every further failure doubles it, up to the longest. */
const PAUSE = { firstMs: RETRY_FIRST_MS * 5, longestMs: RETRY_LONGEST_MS }

/**
 * `retry`: later, at any time between the first pause and a bound that doubles with every failure of this work. `halt` and
 * anything that cannot be refused without a reason of its own: halted, and somebody is paged.
 */
export const outcomeOfFailure = (failure: Fated, of?: StoredRequest): Effect.Effect<StepOutcome> =>
  Effect.gen(function* () {
    const said = failure.reason === undefined ? failure._tag : `${failure._tag}: ${failure.reason}`
    if (failure.fate !== "retry") return { type: "halted", reason: failure._tag, detail: said.slice(0, 900) }
    const tries = of === undefined ? 1 : (yield* FailedTries).failed(of)
    const retryAfterMs = RETRY_FIRST_MS + backoffMs(PAUSE, tries, yield* Random.next)
    return { type: "postponed", reason: said.slice(0, 900), retryAfterMs: Math.min(RETRY_LONGEST_MS, retryAfterMs) }
  })

/** One failure that concerns all of them. They come back one by one, each after a pause of its own. */
export const outcomesOfFailure = (failure: Fated, requests: ReadonlyArray<StoredRequest>) =>
  Effect.forEach(requests, (request) => outcomeOfFailure(failure, request))

/** A step for one request, made total: failures and defects become outcomes too. A defect is our bug, so it halts. */
export const settle = <R>(
  step: Effect.Effect<StepOutcome | null, Fated, R>,
  of?: StoredRequest
): Effect.Effect<StepOutcome | null, never, R> =>
  step.pipe(
    Effect.catch((failure) => outcomeOfFailure(failure, of)),
    Effect.catchDefect((defect) =>
      Effect.succeed<StepOutcome>({ type: "halted", reason: "defect", detail: placeOf(defect) })
    )
  )
