/** What every Clock promises whoever sleeps or measures: the simulator's virtual time has to be time. */
import { Clock, Effect, Fiber } from "effect"
import { describe, expect, test } from "vitest"

export interface GivenClock {
  readonly run: <A>(effect: Effect.Effect<A>) => Promise<A>
  readonly close: () => void
}

const millis = Clock.currentTimeMillis
const monotonic = Clock.monotonicTimeNanos

export const clockLaws = (name: string, open: () => GivenClock) => {
  const law = <A>(promise: string, program: Effect.Effect<A>, holds: (seen: A) => void) =>
    test(promise, async () => {
      const given = open()
      try {
        holds(await given.run(program))
      } finally {
        given.close()
      }
    })
  const elapsed = <A>(work: Effect.Effect<A>) =>
    Effect.gen(function* () {
      const [wall, steady] = [yield* millis, yield* monotonic]
      yield* work
      return { wallMs: (yield* millis) - wall, steadyMs: Number((yield* monotonic) - steady) / 1e6 }
    })

  describe(name, () => {
    // Node's timers wake up to a millisecond early.
    law("a sleep is as long as it was asked to be, by both clocks", elapsed(Effect.sleep(20)), ({ wallMs, steadyMs }) => {
      expect(wallMs).toBeGreaterThanOrEqual(19)
      expect(steadyMs).toBeGreaterThanOrEqual(19)
    })

    law("no time at all is slept without hanging", elapsed(Effect.all([Effect.sleep(0), Effect.yieldNow])), ({ steadyMs }) => {
      expect(steadyMs).toBeGreaterThanOrEqual(0)
    })

    law(
      "whoever sleeps for less wakes up sooner, whoever went to bed first",
      Effect.gen(function* () {
        const woken: Array<number> = []
        const sleepers = [45, 5, 25].map((ms) => Effect.andThen(Effect.sleep(ms), Effect.sync(() => woken.push(ms))))
        yield* Effect.all(sleepers, { concurrency: "unbounded" })
        return woken
      }),
      (woken) => expect(woken).toEqual([5, 25, 45])
    )

    law(
      "whoever is interrupted in his sleep never wakes up",
      Effect.gen(function* () {
        let isAwake = false
        const sleeper = yield* Effect.forkChild(Effect.andThen(Effect.sleep(10), Effect.sync(() => (isAwake = true))))
        yield* Effect.sleep(1)
        yield* Fiber.interrupt(sleeper)
        yield* Effect.sleep(25)
        return isAwake
      }),
      (isAwake) => expect(isAwake).toBe(false)
    )

    law(
      "the monotonic clock never goes back, and is not stopped while nobody looks",
      Effect.gen(function* () {
        const seen: Array<bigint> = []
        for (let index = 0; index < 5; index++) {
          seen.push(yield* monotonic)
          yield* Effect.sleep(2)
        }
        return seen
      }),
      (seen) => {
        expect(seen).toEqual(seen.toSorted((a, b) => (a < b ? -1 : 1)))
        expect(Number(seen.at(-1)! - seen[0]!) / 1e6).toBeGreaterThan(4)
      }
    )

    law("milliseconds and nanoseconds tell the same time", Effect.all([millis, Clock.currentTimeNanos, millis]), ([before, nanos, after]) => {
      expect(Number(nanos / 1_000_000n)).toBeGreaterThanOrEqual(before - 1)
      expect(Number(nanos / 1_000_000n)).toBeLessThanOrEqual(after + 1)
    })
  })
}
