/** What is remembered is bounded in number and in age, asked for once however many want it, and never a failure. */
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { expect, test } from "vitest"
import { Cache, type CacheBounds } from "../../src/resilience/cache.ts"
import { meterHere } from "../../src/resilience/cache-meter.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { movedClock } from "../actors/support/moved-clock.ts"

const BOUNDS: CacheBounds = { entriesMax: 3, ageMsMax: 1_000 }

/** Whoever is asked answers with how often it has been asked. */
const asking = () => {
  let asked = 0
  return { ask: Effect.sync(() => ++asked), asked: () => asked }
}
const inVirtualTime = <A, E>(use: (cache: Cache<number, string>) => Effect.Effect<A, E>, bounds = BOUNDS) =>
  Effect.runPromise(Effect.suspend(() => use(new Cache(bounds))).pipe(Effect.provide(TestClock.layer())))

test("an answer is given again until it is too old, counted from when it was asked for", () =>
  inVirtualTime((cache) =>
    Effect.gen(function* () {
      const { ask } = asking()
      const slow = Effect.delay(ask, 400)
      const first = yield* Effect.forkChild(cache.get("key", slow))
      yield* TestClock.adjust(400)
      expect(yield* Fiber.join(first)).toBe(1)
      yield* TestClock.adjust(599)
      expect(yield* cache.get("key", ask)).toBe(1)
      yield* TestClock.adjust(1)
      expect(yield* cache.get("key", ask)).toBe(2)
    })
  ))

test("a hundred who want the same at once ask once", () =>
  inVirtualTime((cache) =>
    Effect.gen(function* () {
      const { ask, asked } = asking()
      const herd = yield* Effect.forkChild(
        Effect.all(Array.from({ length: 100 }, () => cache.get("key", Effect.delay(ask, 10))), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust(10)
      expect(new Set(yield* Fiber.join(herd))).toEqual(new Set([1]))
      expect(asked()).toBe(1)
    })
  ))

test("a failure is shared by those who wait for it, and remembered by nobody", () =>
  inVirtualTime((cache) =>
    Effect.gen(function* () {
      const { ask, asked } = asking()
      const fails = Effect.andThen(ask, Effect.fail("down"))
      const both = yield* Effect.all([1, 2].map(() => Effect.result(cache.get("key", Effect.andThen(Effect.yieldNow, fails)))), {
        concurrency: "unbounded"
      })
      expect(both.map(Result.isFailure)).toEqual([true, true])
      expect(asked()).toBe(1)
      expect(yield* cache.get("key", ask)).toBe(2)
    })
  ))

test("when whoever asks is interrupted, another who waits asks in its place", () =>
  inVirtualTime((cache) =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const { ask } = asking()
      const first = yield* Effect.forkChild(cache.get("key", Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)))
      yield* Deferred.await(begun)
      const second = yield* Effect.forkChild(cache.get("key", ask))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      expect(Exit.isSuccess(yield* Fiber.await(second))).toBe(true)
    })
  ))

test("an answer that is not worth keeping is given to those who wait, and asked for again", () =>
  inVirtualTime((cache) =>
    Effect.gen(function* () {
      const { ask } = asking()
      expect(yield* cache.get("key", ask, () => false)).toBe(1)
      expect(yield* cache.get("key", ask)).toBe(2)
      expect(yield* cache.get("key", ask)).toBe(2)
    })
  ))

test("a calendar that is set back makes no old answer good again", async () => {
  const time = movedClock()
  const cache = new Cache<number, never>(BOUNDS)
  const { ask } = asking()
  const get = () => Effect.runPromise(Effect.provideService(cache.get("key", ask), Clock.Clock, time.clock))
  expect(await get()).toBe(1)
  time.setBack(3_600_000)
  time.forward(BOUNDS.ageMsMax)
  expect(await get()).toBe(2)
})

test("whatever is asked when, an answer is of its key, not too old, and there are never too many", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.record({ key: fc.nat(5), waitMs: fc.nat(700) }), { maxLength: 40 }), async (steps) => {
      const { layer, gauged, counted } = heardTelemetry()
      const story = Effect.gen(function* () {
        const cache = new Cache<string, never>(BOUNDS, yield* meterHere("committees"))
        let nowMs = 0
        for (const { key, waitMs } of steps) {
          yield* TestClock.adjust(waitMs)
          nowMs += waitMs
          const answer = yield* cache.get(String(key), Effect.sync(() => `${key} at ${nowMs}`))
          const [of, at] = answer.split(" at ")
          expect(of).toBe(String(key))
          expect(nowMs - Number(at)).toBeLessThan(BOUNDS.ageMsMax)
        }
      })
      await Effect.runPromise(story.pipe(Effect.provide(Layer.merge(layer, TestClock.layer()))))
      expect(Math.max(0, ...gauged("cache_entries"))).toBeLessThanOrEqual(BOUNDS.entriesMax)
      expect(counted("cache_hits") + counted("cache_misses")).toBe(steps.length)
    }),
    { numRuns: 50 }
  ))
