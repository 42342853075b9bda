/** What JetStream does to a bus in real life: dies, forgets, loses consumers, is not there. Hints may be lost; work may not stop. */
import { jetstream, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Effect, References, type Scope } from "effect"
import assert from "node:assert/strict"
import { afterEach, beforeEach, describe, test } from "vitest"
import { natsBus } from "../../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS, type NatsSettings } from "../../../src/adapters/nats/nats-settings.ts"
import { durableOf, OUTCOME_STREAM, PARKED_STREAM, WORK_STREAM } from "../../../src/adapters/nats/streams.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import { ACK_WAIT_MS, DELIVERIES_MAX, DUPLICATE_WINDOW_MS } from "../../../src/messaging/bus-limits.ts"
import { Bus, BusUnavailable, type Verdict } from "../../../src/messaging/bus.port.ts"
import { ParkedMessages } from "../../../src/messaging/parked-messages.port.ts"
import { eventually } from "../../support/eventually.ts"
import { NatsServer } from "../../support/nats-server.ts"

const ACK: Verdict = { type: "ack" }
const SUBJECT = workSubject("detected")

describe("the NATS bus", () => {
  let server: NatsServer
  beforeEach(async () => {
    server = await NatsServer.prepare()
  })
  afterEach(() => server.dispose())

  const settings = (): NatsSettings => ({ ...NATS_DEFAULTS, servers: [server.url] })
  const onTheBus = (
    program: Effect.Effect<void, unknown, Bus | ParkedMessages | Scope.Scope>,
    changes: Partial<NatsSettings> = {}
  ) =>
    Effect.runPromise(program.pipe(
      Effect.scoped,
      Effect.provide(natsBus({ ...settings(), ...changes })),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))
  /** A test that begins with a running server. */
  const served = (
    sentence: string,
    program: Effect.Effect<void, unknown, Bus | ParkedMessages | Scope.Scope>,
    changes: Partial<NatsSettings> = {}
  ) =>
    test(sentence, async () => {
      await server.start()
      await onTheBus(program, changes)
    })

  /** Publishes until the bus confirms, as the outbox does; the id is new each time, as a sweeper's is. */
  const publish = (body: string) =>
    Effect.flatMap(Bus, (bus) => bus.publish(SUBJECT, Buffer.from(body), crypto.randomUUID())).pipe(
      Effect.retry({ times: 50 }))
  const collect = (into: Array<string>) =>
    Effect.flatMap(Bus, (bus) =>
      bus.consume(SUBJECT, { concurrency: 4 }, ({ body }) =>
        Effect.sync(() => (into.push(Buffer.from(body).toString("utf8")), ACK))))
  const until = (what: string, look: () => boolean | Promise<boolean>, deadlineMs = 30_000) =>
    Effect.promise(() => eventually(what, look, deadlineMs))
  const asOperator = <A>(act: (manager: JetStreamManager, connection: NatsConnection) => Promise<A>) =>
    Effect.promise(async () => {
      const connection = await connect({ servers: server.url })
      try {
        return await act(await jetstreamManager(connection), connection)
      } finally {
        await connection.close()
      }
    })

  served("delivers what it confirmed after kill -9 and a restart on the same store", Effect.gen(function*() {
    yield* Effect.forEach(["a", "b", "c"], publish)
    yield* Effect.promise(() => server.kill())
    yield* Effect.promise(() => server.start())
    const seen: Array<string> = []
    yield* collect(seen)
    yield* until("all three", () => seen.length === 3)
    assert.deepEqual(seen.toSorted(), ["a", "b", "c"])
  }))

  served("goes on consuming after kill -9 and a restart", Effect.gen(function*() {
    const seen: Array<string> = []
    yield* collect(seen)
    yield* publish("before")
    yield* until("before", () => seen.includes("before"))
    yield* Effect.promise(() => server.kill())
    yield* Effect.promise(() => server.start())
    yield* publish("after")
    yield* until("after", () => seen.includes("after"))
  }))

  served("makes streams and consumers again when the server comes back with an empty store", Effect.gen(function*() {
    const seen: Array<string> = []
    yield* collect(seen)
    yield* publish("before")
    yield* until("before", () => seen.includes("before"))
    yield* Effect.promise(() => server.kill())
    yield* Effect.promise(() => server.wipe())
    yield* Effect.promise(() => server.start())
    yield* publish("after")
    yield* until("after", () => seen.includes("after"))
  }))

  served("makes a consumer again that somebody deleted", Effect.gen(function*() {
    const seen: Array<string> = []
    yield* collect(seen)
    yield* publish("before")
    yield* until("before", () => seen.includes("before"))
    yield* asOperator((manager) => manager.consumers.delete(WORK_STREAM, durableOf(SUBJECT)))
    yield* publish("after")
    yield* until("after", () => seen.includes("after"))
  }))

  served("makes streams again that somebody deleted, while publishing and consuming", Effect.gen(function*() {
    const seen: Array<string> = []
    yield* collect(seen)
    yield* publish("before")
    yield* until("before", () => seen.includes("before"))
    yield* asOperator(async (manager) => {
      for (const name of [WORK_STREAM, OUTCOME_STREAM, PARKED_STREAM]) await manager.streams.delete(name)
    })
    yield* publish("after")
    yield* until("after", () => seen.includes("after"))
  }))

  test("starts without a server, says so in a typed way, and works as soon as there is one", () =>
    onTheBus(Effect.gen(function*() {
      const bus = yield* Bus
      const seen: Array<string> = []
      yield* collect(seen)
      const noPing = yield* Effect.flip(bus.ping)
      assert(noPing instanceof BusUnavailable)
      assert.equal(noPing.fate, "retry")
      const noPublish = yield* Effect.flip(bus.publish(SUBJECT, Buffer.from("lost"), "1"))
      assert(noPublish instanceof BusUnavailable)
      yield* Effect.promise(() => server.start())
      yield* publish("found")
      yield* until("found", () => seen.includes("found"))
      yield* bus.ping
    })))

  served("fails a ping while the server is frozen, and recovers when it thaws", Effect.gen(function*() {
    const bus = yield* Bus
    const seen: Array<string> = []
    yield* collect(seen)
    yield* publish("before")
    server.freeze()
    assert((yield* Effect.flip(bus.ping)) instanceof BusUnavailable)
    server.thaw()
    yield* publish("after")
    yield* until("after", () => seen.includes("after"))
    yield* bus.ping
  }))

  served("takes one id for one message only within its window, so that the sweeper is heard", Effect.gen(function*() {
    const bus = yield* Bus
    const seen: Array<string> = []
    yield* collect(seen)
    yield* bus.publish(SUBJECT, Buffer.from("once"), "the-same-id").pipe(Effect.retry({ times: 10 }))
    yield* bus.publish(SUBJECT, Buffer.from("double"), "the-same-id")
    yield* until("once", () => seen.length === 1)
    yield* until("the window has passed", async () => {
      await Effect.runPromise(bus.publish(SUBJECT, Buffer.from("swept"), "the-same-id"))
      return seen.length === 2
    }, DUPLICATE_WINDOW_MS * 4)
    assert.deepEqual(seen, ["once", "swept"])
  }))

  test("gives messages in hand back at once when it closes", async () => {
    await server.start()
    const first: Array<string> = []
    await onTheBus(Effect.gen(function*() {
      const bus = yield* Bus
      yield* Effect.forEach(["a", "b", "c", "d", "e", "f"], publish)
      yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ body }) =>
        Effect.as(
          Effect.andThen(Effect.sync(() => first.push(Buffer.from(body).toString("utf8"))), Effect.sleep(200)),
          ACK
        ))
      yield* until("the first", () => first.length === 1)
    }))
    const closedAtMs = performance.now()
    const second: Array<string> = []
    await onTheBus(Effect.gen(function*() {
      yield* collect(second)
      yield* until("the rest", () => first.length + second.length === 6)
    }))
    assert(performance.now() - closedAtMs < ACK_WAIT_MS / 3, "nobody had to wait for the redelivery timeout")
    assert.deepEqual([...first, ...second].toSorted(), ["a", "b", "c", "d", "e", "f"])
  })

  served("parks a message whose deliveries were used up by others, and clears it from the stream", Effect.gen(function*() {
    const parked = yield* ParkedMessages
    const healthy: Array<string> = []
    yield* Effect.scoped(Effect.andThen(
      collect(healthy),
      Effect.andThen(publish("healthy"), until("the consumer exists", () => healthy.length === 1))
    ))
    yield* publish("poison")
    yield* asOperator(async (_, connection) => {
      const consumer = await jetstream(connection).consumers.get(WORK_STREAM, durableOf(SUBJECT))
      for (let delivery = 1; delivery <= DELIVERIES_MAX; delivery++) {
        const message = await consumer.next({ expires: 5_000 })
        assert.equal(message?.info.deliveryCount, delivery)
        message.nak()
      }
      assert.equal(await consumer.next({ expires: 1_000 }), null)
    })
    yield* until("parked", async () => (await Effect.runPromise(parked.count)) === 1)
    const [message] = yield* parked.newest({ limit: 1 })
    assert.equal(message?.subject, SUBJECT)
    assert.equal(message.deliveries, DELIVERIES_MAX)
    yield* until("cleared", () =>
      Effect.runPromise(asOperator(async (manager) => (await manager.streams.info(WORK_STREAM)).state.messages === 0)))
  }))

  test("keeps the limits that its streams were made with, and mends them when somebody changed them", async () => {
    await server.start()
    await onTheBus(publish("made"))
    await Effect.runPromise(asOperator((manager) => manager.streams.update(WORK_STREAM, { max_bytes: 1_000_000 })))
    await onTheBus(until("mended", () =>
      Effect.runPromise(asOperator(async (manager) =>
        (await manager.streams.info(WORK_STREAM)).config.max_bytes === NATS_DEFAULTS.streamBytesMax))))
  })

  served("lets a process with more hands widen a consumer, and one with fewer leave it", Effect.gen(function*() {
    const bus = yield* Bus
    const widthWith = (concurrency: number) =>
      Effect.scoped(Effect.gen(function*() {
        let seen = 0
        yield* bus.consume(SUBJECT, { concurrency }, () => Effect.sync(() => (seen++, ACK)))
        yield* publish("x")
        yield* until("one message", () => seen === 1)
        return yield* asOperator(async (manager) =>
          (await manager.consumers.info(WORK_STREAM, durableOf(SUBJECT))).config.max_ack_pending ?? 0)
      }))
    const narrow = yield* widthWith(1)
    const wide = yield* widthWith(100)
    assert(wide > narrow, `${wide} > ${narrow}`)
    assert.equal(yield* widthWith(1), wide)
  }))

  const ackWaitMs = 1_500

  served("keeps what a slow handler holds, however long it takes", Effect.gen(function*() {
    const bus = yield* Bus
    const seen: Array<number> = []
    yield* bus.consume(SUBJECT, { concurrency: 1 }, ({ deliveries }) =>
      Effect.as(Effect.andThen(Effect.sync(() => seen.push(deliveries)), Effect.sleep(ackWaitMs * 3)), ACK))
    yield* publish("slow")
    yield* until("the handler has begun", () => seen.length === 1)
    yield* until("it is acknowledged", () =>
      Effect.runPromise(asOperator(async (manager) => (await manager.streams.info(WORK_STREAM)).state.messages === 0)))
    assert.deepEqual(seen, [1])
  }), { ackWaitMs })

  served("takes over what somebody else received and never settled", Effect.gen(function*() {
    const seen: Array<string> = []
    yield* Effect.scoped(Effect.andThen(
      collect(seen),
      Effect.andThen(publish("before"), until("the consumer exists", () => seen.includes("before")))
    ))
    yield* publish("left behind")
    yield* asOperator(async (_, connection) => {
      const consumer = await jetstream(connection).consumers.get(WORK_STREAM, durableOf(SUBJECT))
      assert((await consumer.next({ expires: 5_000 })) !== null)
    })
    yield* collect(seen)
    yield* until("left behind", () => seen.includes("left behind"))
  }), { ackWaitMs })
})
