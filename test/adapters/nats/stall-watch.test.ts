/** When a consumer counts as standing still, and that it is then made again. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, Layer, References } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, expect, test } from "vitest"
import { natsBus } from "../../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS } from "../../../src/adapters/nats/nats-settings.ts"
import { STALL_MS, StallWatch, type ConsumerView } from "../../../src/adapters/nats/stall-watch.ts"
import { durableOf, WORK_STREAM } from "../../../src/adapters/nats/streams.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import { Bus } from "../../../src/messaging/bus.port.ts"
import { heardTelemetry } from "../../actors/support/heard-telemetry.ts"
import { DeafProxy } from "../../support/deaf-proxy.ts"
import { eventually } from "../../support/eventually.ts"
import { NatsServer } from "../../support/nats-server.ts"

const WAITING: ConsumerView = { pending: 3, unsettled: 0, unsettledMax: 10, deliveredSeq: 7 }

describe("a consumer stands still", () => {
  test("when messages wait, there is room, and nothing moved for the whole time", () => {
    const watch = new StallWatch()
    assert(!watch.sees(WAITING, 1_000))
    assert(!watch.sees(WAITING, 1_000 + STALL_MS - 1))
    assert(watch.sees(WAITING, 1_000 + STALL_MS))
  })

  test("not when nothing waits, or all that may be out is out", () => {
    const watch = new StallWatch()
    for (const idle of [{ ...WAITING, pending: 0 }, { ...WAITING, unsettled: 10 }]) {
      assert(!watch.sees(idle, 0))
      assert(!watch.sees(idle, STALL_MS * 2))
    }
  })

  test("not when it has been told that something moved", () => {
    const watch = new StallWatch()
    assert(!watch.sees(WAITING, 0))
    watch.forget()
    assert(!watch.sees(WAITING, STALL_MS))
  })

  test("never as long as any look sees a delivery or an empty stream within the time", () => {
    const look = fc.record({ moves: fc.boolean(), pending: fc.nat(2), pauseMs: fc.nat(STALL_MS) })
    fc.assert(fc.property(fc.array(look), (looks) => {
      const watch = new StallWatch()
      let deliveredSeq = 0
      let atMs = 0
      let stoodStillMs = 0
      for (const { moves, pending, pauseMs } of looks) {
        atMs += pauseMs
        stoodStillMs += pauseMs
        if (moves) deliveredSeq++
        const verdict = watch.sees({ ...WAITING, pending, deliveredSeq }, atMs)
        if (moves || pending === 0) stoodStillMs = 0
        if (verdict) assert(stoodStillMs >= STALL_MS)
      }
    }))
  })

  test("and is made again, so that delivery goes on, and is counted", { timeout: 60_000 }, async () => {
    const server = await NatsServer.start()
    const proxy = await DeafProxy.before(server.port)
    const heard = heardTelemetry()
    const subject = workSubject("detected")
    const operator = await connect({ servers: server.url })
    const consumers = (await jetstreamManager(operator)).consumers
    const createdAt = async () => (await consumers.info(WORK_STREAM, durableOf(subject))).created
    try {
      await Effect.gen(function*() {
        const bus = yield* Bus
        let seen = 0
        // The server never hears that anybody wants messages. Nothing fails: there is just silence.
        proxy.deafTo = "CONSUMER.MSG.NEXT"
        yield* bus.consume(subject, { concurrency: 2 }, () => Effect.sync(() => (seen++, { type: "ack" })))
        for (let message = 0; message < 5; message++) {
          yield* bus.publish(subject, Buffer.from("x"), crypto.randomUUID()).pipe(Effect.retry({ times: 20 }))
        }
        const firstCreatedAt = yield* Effect.promise(() => eventually("a consumer", () => createdAt().catch(() => undefined)))
        yield* Effect.promise(() =>
          eventually("the consumer is made again", async () => {
            const now = await createdAt().catch(() => firstCreatedAt)
            return now !== firstCreatedAt
          }, 40_000))
        assert.equal(seen, 0)
        assert(proxy.swallowed > 0)
        expect(heard.counted("consumers_remade")).toBeGreaterThan(0)
        proxy.deafTo = undefined
        yield* Effect.promise(() => eventually("all messages", () => seen === 5, 30_000))
      }).pipe(
        Effect.scoped,
        Effect.provide(natsBus({ ...NATS_DEFAULTS, servers: [proxy.url] }).pipe(Layer.provide(heard.layer))),
        Effect.provideService(References.MinimumLogLevel, "None"),
        Effect.runPromise
      )
    } finally {
      await operator.close()
      await proxy.close()
      await server.dispose()
    }
  })
})
