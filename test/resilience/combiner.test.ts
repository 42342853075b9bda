import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { test } from "vitest"
import { eventually } from "../support/eventually.ts"
import { type CombinerOptions, makeCombiner } from "../../src/resilience/combiner.ts"

interface Item {
  readonly key: string
  readonly value: number
}

class Refused extends Error {
  readonly _tag = "Refused"
}
class Lost extends Error {
  readonly _tag = "Lost"
}

const combinerOf = (options: Partial<CombinerOptions<Item, number, Refused | Lost>> & Pick<CombinerOptions<Item, number, Refused | Lost>, "run">) =>
  makeCombiner<Item, number, Refused | Lost>({
    keyOf: (item) => item.key,
    itemsMax: 100,
    flightsMax: 1,
    isRefusal: (error) => error._tag === "Refused",
    ...options
  })

const item = (value: number, key = String(value)): Item => ({ key, value })
const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Effect.scoped(effect))

test("sends an idle call at once, gathers calls while one is under way, and gives each caller its own answers", async () => {
  await run(Effect.gen(function*() {
    const statements: Array<ReadonlyArray<number>> = []
    const gate = yield* Deferred.make<void>()
    const combined = yield* combinerOf({
      run: (items) =>
        Effect.gen(function*() {
          statements.push(items.map(({ value }) => value))
          if (statements.length === 1) yield* Deferred.await(gate)
          return items.map(({ value }) => value * 10)
        })
    })
    const first = yield* Effect.forkChild(combined([item(1)]))
    while (statements.length === 0) yield* Effect.yieldNow
    const others = yield* Effect.forEach([[2, 3], [4], []], (values) => Effect.forkChild(combined(values.map((value) => item(value)))))
    yield* Effect.yieldNow
    assert.deepEqual(statements, [[1]])
    yield* Deferred.succeed(gate, undefined)
    assert.deepEqual(yield* Fiber.join(first), [10])
    assert.deepEqual(yield* Effect.forEach(others, Fiber.join), [[20, 30], [40], []])
    assert.deepEqual(statements, [[1], [2, 3, 4]])
  }))
})

test("never puts one key twice into a statement nor into two at once, keeps its order, and answers everybody", async () => {
  const calls = fc.array(fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { minLength: 1, maxLength: 3 }), { maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(calls, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }), async (all, itemsMax, flightsMax) => {
      await run(Effect.gen(function*() {
        const underWay = new Set<string>()
        const order = new Map<string, Array<number>>()
        const combined = yield* combinerOf({
          itemsMax,
          flightsMax,
          run: (items) =>
            Effect.gen(function*() {
              for (const { key, value } of items) {
                assert(!underWay.has(key))
                underWay.add(key)
                order.set(key, [...(order.get(key) ?? []), value])
              }
              for (let turn = 0; turn < 3; turn += 1) yield* Effect.yieldNow
              for (const { key } of items) underWay.delete(key)
              return items.map(({ value }) => value)
            })
        })
        const distinct = all.map((keys) => [...new Set(keys)])
        const answers = yield* Effect.forEach(
          distinct.map((keys, index) => keys.map((key) => item(index, key))),
          combined,
          { concurrency: "unbounded" }
        )
        assert.deepEqual(answers, distinct.map((keys, index) => keys.map(() => index)))
        for (const values of order.values()) assert.deepEqual(values, values.toSorted((a, b) => a - b))
      }))
    }),
    { numRuns: 200 }
  )
})

test("fails exactly the callers of a statement whose fate is unknown, and tries nothing again", async () => {
  await run(Effect.gen(function*() {
    let statements = 0
    const combined = yield* combinerOf({
      run: (items) => {
        statements += 1
        return items.some(({ value }) => value < 0) ? Effect.fail(new Lost()) : Effect.succeed(items.map(({ value }) => value))
      }
    })
    const together = yield* Effect.forEach([-1, 2, 3], (value) => Effect.exit(combined([item(value)])), { concurrency: "unbounded" })
    assert(together.every(Exit.isFailure))
    assert.equal(statements, 1)
    assert.deepEqual(yield* combined([item(4)]), [4])
  }))
})

test("tries callers one by one when the statement was surely refused, so that only the bad one fails", async () => {
  await run(Effect.gen(function*() {
    const combined = yield* combinerOf({
      run: (items) =>
        items.some(({ value }) => value < 0) ? Effect.fail(new Refused()) : Effect.succeed(items.map(({ value }) => value))
    })
    const exits = yield* Effect.forEach([1, -2, 3], (value) => Effect.exit(combined([item(value)])), { concurrency: "unbounded" })
    assert.deepEqual(exits.map(Exit.isSuccess), [true, false, true])
  }))
})

test("forgets a caller that was interrupted while it waited", async () => {
  await run(Effect.gen(function*() {
    const seen: Array<number> = []
    const gate = yield* Deferred.make<void>()
    const combined = yield* combinerOf({
      run: (items) =>
        Effect.gen(function*() {
          seen.push(...items.map(({ value }) => value))
          if (seen.includes(1) && seen.length === 1) yield* Deferred.await(gate)
          return items.map(({ value }) => value)
        })
    })
    const first = yield* Effect.forkChild(combined([item(1)]))
    while (seen.length === 0) yield* Effect.yieldNow
    const second = yield* Effect.forkChild(combined([item(2)]))
    const third = yield* Effect.forkChild(combined([item(3)]))
    yield* Effect.yieldNow
    yield* Fiber.interrupt(second)
    yield* Deferred.succeed(gate, undefined)
    assert.deepEqual([yield* Fiber.join(first), yield* Fiber.join(third)], [[1], [3]])
    assert.deepEqual(seen, [1, 3])
  }))
})

test("waits for what is under way when it closes, and interrupts what still waits", async () => {
  const scope = Scope.makeUnsafe()
  const gate = Deferred.makeUnsafe<void>()
  let statements = 0
  const combined = await Effect.runPromise(
    combinerOf({
      run: (items) => {
        statements += 1
        return Effect.as(Deferred.await(gate), items.map(({ value }) => value))
      }
    }).pipe(Scope.provide(scope))
  )
  const first = Effect.runFork(combined([item(1)]))
  await eventually("the first statement", () => statements === 1)
  const second = Effect.runFork(combined([item(2)]))
  const closing = Effect.runPromise(Scope.close(scope, Exit.void))
  const interrupted = await Effect.runPromise(Fiber.await(second))
  assert(Exit.hasInterrupts(interrupted))
  Deferred.doneUnsafe(gate, Effect.void)
  await closing
  assert.deepEqual(await Effect.runPromise(Fiber.join(first)), [1])
  assert.equal(statements, 1)
})
