/** What every Bus promises, whoever implements it. No actor may rely on more. */
import { Effect, Exit, Layer, References, Scope } from "effect"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { PARKED_SUBJECT, workSubject } from "../../src/domain/journey.ts"
import { BODY_BYTES_MAX, DEFECT_NAK_MS, DELIVERIES_MAX } from "../../src/messaging/bus-limits.ts"
import { Bus, type Delivery, type Verdict } from "../../src/messaging/bus.port.ts"
import { ParkedMessages } from "../../src/messaging/parked-messages.port.ts"
import { Telemetry, type CounterName } from "../../src/telemetry/telemetry.port.ts"
import { eventually } from "../support/eventually.ts"

const ACK: Verdict = { type: "ack" }
const SUBJECT = workSubject("detected")
const text = (body: Uint8Array) => Buffer.from(body).toString("utf8")
const bytes = (body: string) => new Uint8Array(Buffer.from(body))

/** `fresh` makes a bus on which nothing waits. */
export const busLaws = (name: string, fresh: () => Promise<Layer.Layer<Bus | ParkedMessages>>) => {
  const law = (
    promise: string,
    program: Effect.Effect<void, unknown, Bus | ParkedMessages | Scope.Scope>,
    below: Layer.Layer<never> | Layer.Layer<Telemetry> = Layer.empty
  ) =>
    test(promise, { timeout: 30_000 }, async () => {
      const layer = (await fresh()).pipe(Layer.provide(below))
      await Effect.runPromise(
        program.pipe(Effect.scoped, Effect.provide(layer), Effect.provideService(References.MinimumLogLevel, "None"))
      )
    })

  const publishAll = (bodies: ReadonlyArray<string>, subject: string = SUBJECT) =>
    Effect.flatMap(Bus, (bus) =>
      Effect.forEach(bodies, (body) => bus.publish(subject, bytes(body), `${subject}:${body}:${crypto.randomUUID()}`), {
        concurrency: 64,
        discard: true
      }))
  const numbered = (count: number) => Array.from({ length: count }, (_, index) => `message ${index}`)
  const until = (what: string, look: () => unknown, deadlineMs?: number) =>
    Effect.promise(() => eventually(what, () => Boolean(look()), deadlineMs))

  describe(`${name}`, () => {
    law("delivers every message with its bytes", Effect.gen(function*() {
      const bus = yield* Bus
      const seen = new Set<string>()
      yield* bus.consume(SUBJECT, { concurrency: 8 }, ({ subject, body }) =>
        Effect.sync(() => {
          assert.equal(subject, SUBJECT)
          seen.add(text(body))
          return ACK
        }))
      yield* publishAll(numbered(500))
      yield* until("500 messages", () => seen.size === 500)
    }))

    law("keeps subjects apart", Effect.gen(function*() {
      const bus = yield* Bus
      const seen: Array<string> = []
      const note = (delivery: Delivery) => Effect.sync(() => (seen.push(`${delivery.subject} ${text(delivery.body)}`), ACK))
      yield* bus.consume(workSubject("acl-checked"), { concurrency: 1 }, note)
      yield* bus.consume("decryption.outcome.3", { concurrency: 1 }, note)
      yield* publishAll(["a"], workSubject("acl-checked"))
      yield* publishAll(["b"], "decryption.outcome.3")
      yield* until("both", () => seen.length === 2)
      assert.deepEqual(seen.toSorted(), ["decryption.acl-checked.do a", "decryption.outcome.3 b"])
    }))

    law("keeps a message that is published while nobody consumes", Effect.gen(function*() {
      const bus = yield* Bus
      yield* publishAll(["early"])
      let seen = ""
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body }) => Effect.sync(() => ((seen = text(body)), ACK)))
      yield* until("the early message", () => seen === "early")
    }))

    law("hands every message to one of the consumers that share a subject", Effect.gen(function*() {
      const bus = yield* Bus
      const seen = [new Array<string>(), new Array<string>()] as const
      for (const mine of seen) {
        yield* bus.consume(SUBJECT, { concurrency: 2 }, ({ body }) =>
          Effect.as(Effect.andThen(Effect.sync(() => mine.push(text(body))), Effect.sleep(1)), ACK))
      }
      yield* publishAll(numbered(200))
      yield* until("200 messages", () => seen[0].length + seen[1].length >= 200)
      assert.equal(new Set([...seen[0], ...seen[1]]).size, 200)
      assert.equal(seen[0].length + seen[1].length, 200)
      assert(seen.every((mine) => mine.length > 20), `shared ${seen[0].length} : ${seen[1].length}`)
    }))

    law("handles no more at once than it was told", Effect.gen(function*() {
      const bus = yield* Bus
      let atOnce = 0
      let mostAtOnce = 0
      let done = 0
      yield* bus.consume(SUBJECT, { concurrency: 3 }, () =>
        Effect.gen(function*() {
          mostAtOnce = Math.max(mostAtOnce, ++atOnce)
          yield* Effect.sleep(5)
          atOnce--
          done++
          return ACK
        }))
      yield* publishAll(numbered(60))
      yield* until("60 messages", () => done === 60)
      assert.equal(mostAtOnce, 3)
    }))

    law("brings a refused message back, counted, and not before its delay", Effect.gen(function*() {
      const bus = yield* Bus
      const seen: Array<{ readonly atMs: number; readonly deliveries: number }> = []
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ deliveries }) =>
        Effect.sync(() => {
          seen.push({ atMs: performance.now(), deliveries })
          return seen.length < 3 ? { type: "nak", delayMs: 300 } : ACK
        }))
      yield* publishAll(["again"])
      yield* until("three deliveries", () => seen.length === 3)
      assert.deepEqual(seen.map(({ deliveries }) => deliveries), [1, 2, 3])
      for (const [index, { atMs }] of seen.slice(1).entries()) {
        const waitedMs = atMs - (seen[index]?.atMs ?? 0)
        assert(waitedMs >= 295, `came back after ${waitedMs} ms`)
      }
    }))

    law("goes on with others while a refused message rests", Effect.gen(function*() {
      const bus = yield* Bus
      const seen: Array<string> = []
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body, deliveries }) =>
        Effect.sync(() => {
          seen.push(text(body))
          return text(body) === "slow" && deliveries === 1 ? { type: "nak", delayMs: 1_000 } : ACK
        }))
      yield* publishAll(["slow"])
      yield* until("the slow one", () => seen.length === 1)
      yield* publishAll(["quick"])
      yield* until("all", () => seen.length === 3)
      assert.deepEqual(seen, ["slow", "quick", "slow"])
    }))

    law("survives a handler that dies, and brings its message back", Effect.gen(function*() {
      const bus = yield* Bus
      const died: Array<string> = []
      const done: Array<string> = []
      yield* bus.consume(SUBJECT, { concurrency: 4 }, ({ body, deliveries }) => {
        if (deliveries > 1) return Effect.sync(() => (done.push(text(body)), ACK))
        died.push(text(body))
        if (text(body) === "throws") throw new Error("thrown before there was an effect")
        return text(body) === "interrupts" ? Effect.interrupt : Effect.die("a defect")
      })
      yield* publishAll(["throws", "dies", "interrupts"])
      yield* until("all three again", () => done.length === 3, DEFECT_NAK_MS + 10_000)
      assert.deepEqual(died.toSorted(), done.toSorted())
    }))

    law("parks what nobody can read, with the reason, and never delivers it again", Effect.gen(function*() {
      const bus = yield* Bus
      const parkedMessages = yield* ParkedMessages
      let deliveries = 0
      let others = 0
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body }) =>
        Effect.sync(() => {
          if (text(body) !== "garbage") return (others++, ACK)
          deliveries++
          return { type: "park", reason: "not JSON\r\nInjected: header \u2603" }
        }))
      yield* publishAll(["garbage"])
      yield* publishAll(numbered(20))
      yield* until("the others", () => others === 20)
      yield* Effect.promise(() =>
        eventually("one parked", async () => (await Effect.runPromise(parkedMessages.count)) === 1))
      const [message] = yield* parkedMessages.newest({ limit: 10 })
      assert(message !== undefined)
      assert.equal(message.subject, SUBJECT)
      assert.equal(text(message.body), "garbage")
      assert.match(message.reason, /^not JSON/)
      assert.equal(deliveries, 1)
    }))

    law(`parks a message that was delivered ${DELIVERIES_MAX} times`, Effect.gen(function*() {
      const bus = yield* Bus
      const parkedMessages = yield* ParkedMessages
      let deliveries = 0
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () =>
        Effect.sync(() => (deliveries++, { type: "nak", delayMs: 1 })))
      yield* publishAll(["poison"])
      yield* Effect.promise(() =>
        eventually("poison is parked", async () => (await Effect.runPromise(parkedMessages.count)) === 1, 20_000))
      assert.equal(deliveries, DELIVERIES_MAX)
      const [message] = yield* parkedMessages.newest({ limit: 1 })
      assert.equal(message === undefined ? "" : text(message.body), "poison")
    }))

    const counted = new Array<CounterName>()
    law("counts what it parks, where somebody counts", Effect.gen(function*() {
      const bus = yield* Bus
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () => Effect.succeed({ type: "park", reason: "unread" }))
      yield* publishAll(numbered(3))
      yield* until("three counted", () => counted.length === 3)
      assert.deepEqual(counted, ["messages_parked", "messages_parked", "messages_parked"])
    }), Layer.succeed(Telemetry, {
      reached: () => {},
      step: () => {},
      count: (counter) => void counted.push(counter),
      gauge: () => {},
      shareReply: () => {},
      warn: () => {},
      error: () => {},
      info: () => {}
    }))

    law("shows the newest parked messages first, and no more than asked", Effect.gen(function*() {
      const bus = yield* Bus
      const parkedMessages = yield* ParkedMessages
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () => Effect.succeed({ type: "park", reason: "unread" }))
      yield* Effect.forEach(numbered(5), (body) => publishAll([body]))
      yield* Effect.promise(() =>
        eventually("five parked", async () => (await Effect.runPromise(parkedMessages.count)) === 5))
      const newest = yield* parkedMessages.newest({ limit: 2 })
      assert.deepEqual(newest.map(({ body }) => text(body)), ["message 4", "message 3"])
    }))

    const parkedThere = Effect.fnUntraced(function*(count: number) {
      const parked = yield* ParkedMessages
      yield* Effect.promise(() => eventually(`${count} kept`, async () => (await Effect.runPromise(parked.kept)) === count))
      return yield* parked.newest({ limit: 10 })
    })

    law("lets a parked message go its way again, once, and keeps it no longer", Effect.gen(function*() {
      const bus = yield* Bus
      const parked = yield* ParkedMessages
      const read: Array<string> = []
      let canRead = false
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body }) =>
        Effect.sync(() => {
          if (canRead) read.push(text(body))
          return canRead ? ACK : { type: "park", reason: "too new" }
        }))
      yield* publishAll(["from the future"])
      const [message] = yield* parkedThere(1)
      assert(message !== undefined)
      assert.deepEqual(yield* parked.find(message.id), message)
      assert(Math.abs(message.parkedAtMs - Date.now()) < 60_000)
      canRead = true
      const answers = [yield* parked.redrive(message.id), yield* parked.redrive(message.id), yield* parked.drop(message.id)]
      assert.deepEqual(answers, [true, false, false])
      yield* until("it is read", () => read.length === 1)
      assert.deepEqual(yield* parkedThere(0), [])
      assert.equal(yield* parked.find(message.id), undefined)
      assert.deepEqual(read, ["from the future"])
    }))

    law("parks again, under another id, what is redriven and still cannot be read", Effect.gen(function*() {
      const bus = yield* Bus
      const parked = yield* ParkedMessages
      let deliveries = 0
      yield* bus.consume(SUBJECT, { concurrency: 1 }, () => Effect.sync(() => (deliveries++, { type: "park", reason: "unread" })))
      yield* publishAll(["garbage"])
      const [first] = yield* parkedThere(1)
      assert.equal(yield* parked.redrive(first!.id), true)
      yield* until("it is delivered again", () => deliveries === 2)
      yield* Effect.promise(() => eventually("it is parked again", async () => (await Effect.runPromise(parked.count)) === 2))
      const [again, ...others] = yield* parkedThere(1)
      assert.deepEqual([text(again!.body), again!.subject, others], ["garbage", SUBJECT, []])
      assert.notEqual(again!.id, first!.id)
    }))

    law("drops the parked message that is named and no other, and shows those of one subject", Effect.gen(function*() {
      const bus = yield* Bus
      const parked = yield* ParkedMessages
      const other = workSubject("acl-checked")
      for (const subject of [SUBJECT, other]) {
        yield* bus.consume(subject, { concurrency: 1 }, () => Effect.succeed({ type: "park", reason: "unread" }))
      }
      yield* publishAll(["a"])
      yield* parkedThere(1)
      yield* publishAll(["b"], other)
      yield* parkedThere(2)
      const [ofOther, ...more] = yield* parked.newest({ limit: 10, subject: other })
      assert.deepEqual([text(ofOther!.body), more.length], ["b", 0])
      const elsewhere = ofOther!.id.replace(/-.*/, "-00000000")
      assert.deepEqual([yield* parked.drop(elsewhere), yield* parked.drop("nonsense"), yield* parked.drop(ofOther!.id)], [false, false, true])
      assert.deepEqual((yield* parkedThere(1)).map(({ body }) => text(body)), ["a"])
    }))

    law("waits for handlers in flight when it closes, and takes nothing new", Effect.gen(function*() {
      const bus = yield* Bus
      let started = 0
      let finished = 0
      const scope = yield* Scope.make()
      yield* bus.consume(SUBJECT, { concurrency: 2 }, () =>
        Effect.gen(function*() {
          started++
          yield* Effect.sleep(200).pipe(Effect.timeout(5_000), Effect.orDie)
          finished++
          return ACK
        })).pipe(Scope.provide(scope))
      yield* publishAll(numbered(10))
      yield* until("two started", () => started === 2)
      yield* Scope.close(scope, Exit.void)
      assert.equal(finished, started)
      const afterClose = started

      const rest = new Set<string>()
      yield* bus.consume(SUBJECT, { concurrency: 4 }, ({ body }) => Effect.sync(() => (rest.add(text(body)), ACK)))
      yield* until("the rest", () => rest.size === 10 - afterClose)
    }))

    law("never runs a handler inside publish", Effect.gen(function*() {
      const bus = yield* Bus
      let isPublishing = false
      let handledInside = 0
      let handled = 0
      yield* bus.consume(SUBJECT, { concurrency: 4 }, () =>
        Effect.sync(() => {
          if (isPublishing) handledInside++
          handled++
          return ACK
        }))
      for (const body of numbered(20)) {
        isPublishing = true
        const publishing = Effect.runPromise(bus.publish(SUBJECT, bytes(body), crypto.randomUUID()))
        isPublishing = false
        yield* Effect.promise(() => publishing)
      }
      yield* until("all", () => handled === 20)
      assert.equal(handledInside, 0)
    }))

    law("lets handlers publish to each other for long without starving timers", Effect.gen(function*() {
      const bus = yield* Bus
      const other = workSubject("acl-checked")
      let exchanged = 0
      let ticks = 0
      const timer = setInterval(() => ticks++, 1)
      const back = (to: string) => () =>
        Effect.as(Effect.orDie(++exchanged < 2_000 ? bus.publish(to, bytes("ping"), crypto.randomUUID()) : Effect.void), ACK)
      yield* bus.consume(SUBJECT, { concurrency: 1 }, back(other))
      yield* bus.consume(other, { concurrency: 1 }, back(SUBJECT))
      yield* publishAll(["ping"])
      yield* until("2,000 exchanges", () => exchanged >= 2_000)
      clearInterval(timer)
      assert(ticks >= 2, `${ticks} ticks`)
    }))

    law("refuses a body over the bound as our own mistake, and sends nothing", Effect.gen(function*() {
      const bus = yield* Bus
      const exit = yield* Effect.exit(bus.publish(SUBJECT, new Uint8Array(BODY_BYTES_MAX + 1), "large"))
      assert(Exit.isFailure(exit) && Exit.hasDies(exit), "a defect, not something to try again")
      let seen = 0
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body }) => Effect.sync(() => ((seen = body.length), ACK)))
      yield* bus.publish(SUBJECT, new Uint8Array(BODY_BYTES_MAX), "largest")
      yield* until("the largest", () => seen === BODY_BYTES_MAX)
    }))

    law("answers a ping", Effect.flatMap(Bus, (bus) => bus.ping))

    law("refuses to publish where operators look", Effect.gen(function*() {
      const bus = yield* Bus
      const exit = yield* Effect.exit(bus.publish(PARKED_SUBJECT, bytes("x"), "x"))
      assert(Exit.isFailure(exit) && Exit.hasDies(exit))
    }))
  })
}
