/** From a failure's fate to what is told about the request: the one place where errors become gestures. */
import { Effect, Random } from "effect"
import type { Fate } from "../../src/domain/fate.ts"
import { RETRY_FIRST_MS } from "../../src/domain/limits.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import { placeOf } from "./supervise.ts"

interface Fated {
  readonly _tag: string
  readonly fate: Fate
  readonly reason?: string
}

/** `retry`: later, with jitter. `halt` and anything that cannot be refused without a reason of its own: halted, and somebody is paged. */
export const outcomeOfFailure = (failure: Fated): Effect.Effect<StepOutcome> => {
  const said = failure.reason === undefined ? failure._tag : `${failure._tag}: ${failure.reason}`
  if (failure.fate !== "retry") return Effect.succeed({ type: "halted", reason: failure._tag, detail: said.slice(0, 900) })
  return Effect.map(Random.nextIntBetween(RETRY_FIRST_MS, RETRY_FIRST_MS * 5), (retryAfterMs) => ({
    type: "postponed",
    reason: said.slice(0, 900),
    retryAfterMs
  }))
}

/** A step for one request, made total: failures and defects become outcomes too. A defect is our bug, so it halts. */
export const settle = <R>(step: Effect.Effect<StepOutcome | null, Fated, R>): Effect.Effect<StepOutcome | null, never, R> =>
  step.pipe(
    Effect.catch(outcomeOfFailure),
    Effect.catchDefect((defect) =>
      Effect.succeed<StepOutcome>({ type: "halted", reason: "defect", detail: placeOf(defect) })
    )
  )
