/** What only the in-process bus has to promise: bounds that a server would keep for it, and a line that keeps its order. */
import { Effect, References } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { Backlog } from "../../../src/adapters/embedded/backlog.ts"
import { inProcessBus } from "../../../src/adapters/embedded/in-process-bus.layer.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import { PARKED_KEPT_MAX } from "../../../src/messaging/bus-limits.ts"
import { Bus, BusUnavailable } from "../../../src/messaging/bus.port.ts"
import { ParkedMessages } from "../../../src/messaging/parked-messages.port.ts"
import { eventually } from "../../support/eventually.ts"

const SUBJECT = workSubject("detected")
const MESSAGES_MAX = 100_000
const body = new Uint8Array(1)

const onTheBus = (program: Effect.Effect<void, unknown, Bus | ParkedMessages>) =>
  Effect.runPromise(program.pipe(Effect.provide(inProcessBus), Effect.provideService(References.MinimumLogLevel, "None")))

describe("the in-process bus", () => {
  test("refuses to publish when a subject is full, for now, and takes more once somebody works", () =>
    onTheBus(Effect.scoped(Effect.gen(function*() {
      const bus = yield* Bus
      for (let count = 0; count < MESSAGES_MAX; count++) yield* bus.publish(SUBJECT, body, "")
      const refusal = yield* Effect.flip(bus.publish(SUBJECT, body, ""))
      assert(refusal instanceof BusUnavailable)
      assert.equal(refusal.fate, "retry")
      yield* bus.publish(workSubject("submitted"), body, "")

      let handled = 0
      yield* bus.consume(SUBJECT, { concurrency: 8 }, () => Effect.sync(() => (handled++, { type: "ack" })))
      yield* Effect.promise(() => eventually("all are handled", () => handled === MESSAGES_MAX))
      yield* bus.publish(SUBJECT, body, "")
      yield* Effect.promise(() => eventually("one more", () => handled === MESSAGES_MAX + 1))
    }))))

  test("counts messages that rest after a refusal among those that wait", () =>
    onTheBus(Effect.scoped(Effect.gen(function*() {
      const bus = yield* Bus
      let refused = 0
      yield* bus.consume(SUBJECT, { concurrency: 64 }, () => Effect.sync(() => (refused++, { type: "nak", delayMs: 60_000 })))
      for (let count = 0; count < MESSAGES_MAX; count++) yield* bus.publish(SUBJECT, body, "")
      yield* Effect.promise(() => eventually("all rest", () => refused === MESSAGES_MAX))
      assert((yield* Effect.flip(bus.publish(SUBJECT, body, ""))) instanceof BusUnavailable)
    }))))

  test("keeps the newest parked messages and counts them all", () =>
    onTheBus(Effect.scoped(Effect.gen(function*() {
      const bus = yield* Bus
      const parked = yield* ParkedMessages
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () => Effect.succeed({ type: "park", reason: "unread" }))
      const total = PARKED_KEPT_MAX + 50
      for (let count = 0; count < total; count++) yield* bus.publish(SUBJECT, Buffer.from(String(count)), "")
      yield* Effect.promise(() => eventually("all are parked", async () => (await Effect.runPromise(parked.count)) === total))
      const kept = yield* parked.newest({ limit: Number.MAX_SAFE_INTEGER })
      assert.equal(kept.length, PARKED_KEPT_MAX)
      assert.deepEqual(kept.slice(0, 2).map((message) => Buffer.from(message.body).toString("utf8")), [`${total - 1}`, `${total - 2}`])
    }))))

  test("ends while messages rest, without waiting for them", async () => {
    const startedMs = performance.now()
    await onTheBus(Effect.scoped(Effect.gen(function*() {
      const bus = yield* Bus
      let refused = 0
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () => Effect.sync(() => (refused++, { type: "nak", delayMs: 3_600_000 })))
      yield* bus.publish(SUBJECT, body, "")
      yield* Effect.promise(() => eventually("it rests", () => refused === 1))
    })))
    assert(performance.now() - startedMs < 5_000)
  })
})

describe("a backlog", () => {
  test("behaves like an array, whatever is pushed and taken", () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(3_000), fc.constant("take"), fc.constant("take half"))), (steps) => {
      const backlog = new Backlog<number>()
      const model: Array<number> = []
      let next = 0
      for (const step of steps) {
        const takes = step === "take" ? 1 : step === "take half" ? model.length >> 1 : 0
        for (let taken = 0; taken < takes; taken++) assert.equal(backlog.shift(), model.shift())
        const pushes = typeof step === "number" ? step : 0
        for (let pushed = 0; pushed < pushes; pushed++) {
          backlog.push(next)
          model.push(next++)
        }
        assert.equal(backlog.size, model.length)
      }
      assert.deepEqual([...backlog], model)
    }), { numRuns: 50 })
  })
})
