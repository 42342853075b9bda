/**
 * A bulkhead: how many may be under way to one target at once. Whoever comes when it is full waits a little and is then sent
 * away, so that a target that hangs holds its own places and nobody else's.
 */
import { Deferred, Effect, Fiber } from "effect"

interface Waiter {
  readonly told: Deferred.Deferred<boolean>
}

export class Places {
  #taken = 0
  readonly #waiting = new Set<Waiter>()

  get taken(): number {
    return this.#taken
  }

  /** Whether nobody is inside and nobody waits. */
  get isEmpty(): boolean {
    return this.#taken === 0 && this.#waiting.size === 0
  }

  /**
   * False when none became free in time. Cannot be interrupted, so that no place is ever lost between being given and being
   * taken: the wait is short instead.
   */
  take(max: number, waitMs: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (this.#taken < max) {
        this.#taken += 1
        return Effect.succeed(true)
      }
      if (waitMs <= 0) return Effect.succeed(false)
      const waiter: Waiter = { told: Deferred.makeUnsafe() }
      this.#waiting.add(waiter)
      const giveUp = Effect.suspend(() => {
        this.#waiting.delete(waiter)
        return Deferred.succeed(waiter.told, false)
      })
      return Effect.gen(function* () {
        const timer = yield* Effect.forkChild(Effect.interruptible(Effect.andThen(Effect.sleep(waitMs), giveUp)))
        const isGiven = yield* Deferred.await(waiter.told)
        yield* Fiber.interrupt(timer)
        return isGiven
      })
    }).pipe(Effect.uninterruptible)
  }

  /** For whoever must not be kept out: one more than the most, if need be. */
  force(): void {
    this.#taken += 1
  }

  leave(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#taken -= 1
      return
    }
    // The place changes hands without having been free.
    this.#waiting.delete(first)
    Deferred.doneUnsafe(first.told, Effect.succeed(true))
  }
}
