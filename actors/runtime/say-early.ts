/** For a step in which one request can take far longer than those that came with it (a store that hangs): nobody waits for it. What is
 * known after a moment is said at once, and everything later as soon as it is known; a message still ends only when all of it is done. */
import { Duration, Effect } from "effect"
import type { Milestone } from "../../src/domain/journey.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { publishOutcomes } from "./publish-outcomes.ts"

/** Ordinary messages are answered whole, with one publish. */
const TOGETHER_MS = 250

/** What has not been said when everything is done, in order; null for what has. What cannot be published is left to be said at the end. */
export const sayEarly = <R>(
  reached: Milestone,
  requests: ReadonlyArray<StoredRequest>,
  work: (request: StoredRequest) => Effect.Effect<StepOutcome | null, never, R>
) =>
  Effect.gen(function* () {
    const unsaid: Array<StepOutcome | null> = requests.map(() => null)
    let isLate = false
    const say = Effect.suspend(() => {
      isLate = true
      const known = requests.flatMap(({ id, version, partition }, index) => {
        const outcome = unsaid[index] ?? null
        unsaid[index] = null
        return outcome === null ? [] : [{ index, partition, item: { requestId: id, version, reached, outcome } }]
      })
      return publishOutcomes(known).pipe(
        Effect.catch(() => Effect.sync(() => known.forEach(({ index, item }) => (unsaid[index] = item.outcome))))
      )
    }).pipe(Effect.uninterruptible) // what has been taken is said, or put back before this is over
    yield* Effect.forkScoped(Effect.delay(say, Duration.millis(TOGETHER_MS)))
    yield* Effect.forEach(
      requests,
      (request, index) =>
        work(request).pipe(
          Effect.tap((outcome) => Effect.sync(() => (unsaid[index] = outcome))),
          Effect.andThen(Effect.suspend(() => (isLate ? say : Effect.void)))
        ),
      { concurrency: "unbounded", discard: true }
    )
    return unsaid as ReadonlyArray<StepOutcome | null>
  }).pipe(Effect.scoped)
