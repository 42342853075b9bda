/** Three servers, every stream three times. What was confirmed survives the crash of the leader, and work goes on without it. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, References } from "effect"
import assert from "node:assert/strict"
import { afterAll, beforeAll, test } from "vitest"
import { natsBus } from "../../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS } from "../../../src/adapters/nats/nats-settings.ts"
import { WORK_STREAM } from "../../../src/adapters/nats/streams.ts"
import { workSubject } from "../../../src/domain/journey.ts"
import { Bus } from "../../../src/messaging/bus.port.ts"
import { eventually } from "../../support/eventually.ts"
import { freePort, NatsServer } from "../../support/nats-server.ts"

const SUBJECT = workSubject("detected")
const NAMES = ["first", "second", "third"]
let servers: ReadonlyArray<NatsServer>

beforeAll(async () => {
  const routes = await Promise.all(NAMES.map(() => freePort()))
  const urls = routes.map((port) => `nats://127.0.0.1:${port}`)
  servers = await Promise.all(NAMES.map((name, index) =>
    NatsServer.start(["-n", name, "--cluster_name", "portcullis-test", "--cluster", urls[index] ?? "", "--routes", urls.join(",")])))
})
afterAll(() => Promise.all(servers.map((server) => server.dispose())))

test("loses nothing that it confirmed when the leader of the stream is killed", { timeout: 120_000 }, async () => {
  await Effect.gen(function*() {
    const bus = yield* Bus
    const confirmed = new Set<string>()
    const seen = new Set<string>()
    yield* bus.consume(SUBJECT, { concurrency: 8 }, ({ body }) =>
      Effect.sync(() => (seen.add(Buffer.from(body).toString("utf8")), { type: "ack" })))
    /** As the outbox does: again and again until the bus has confirmed. */
    const publish = (body: string) =>
      bus.publish(SUBJECT, Buffer.from(body), crypto.randomUUID()).pipe(
        Effect.retry({ while: () => Effect.as(Effect.sleep(100), true) }),
        Effect.tap(() => Effect.sync(() => confirmed.add(body)))
      )
    yield* publish("before")
    yield* Effect.promise(() => eventually("the first message", () => seen.has("before"), 30_000))

    const leader = yield* Effect.promise(leaderOfWork)
    yield* Effect.forkScoped(
      Effect.forEach(Array.from({ length: 300 }, (_, index) => `message ${index}`), publish, { concurrency: 4, discard: true })
    )
    yield* Effect.promise(() => eventually("publishing is under way", () => confirmed.size > 50))
    yield* Effect.promise(() => leader.kill())
    yield* Effect.promise(() => eventually("all are confirmed", () => confirmed.size === 301, 60_000))
    yield* Effect.promise(() => eventually("all are delivered", () => [...confirmed].every((body) => seen.has(body)), 60_000))
  }).pipe(
    Effect.scoped,
    Effect.provide(natsBus({ ...NATS_DEFAULTS, servers: servers.map(({ url }) => url), replicas: 3 })),
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.runPromise
  )
})

const leaderOfWork = async (): Promise<NatsServer> => {
  const connection = await connect({ servers: servers.map(({ url }) => url) })
  try {
    const manager = await jetstreamManager(connection)
    const { cluster } = await manager.streams.info(WORK_STREAM)
    assert.equal(cluster?.replicas?.length, 2, "two followers beside the leader")
    const leader = servers[NAMES.indexOf(cluster.leader ?? "")]
    assert(leader !== undefined, `the leader is one of ours, not ${cluster.leader}`)
    return leader
  } finally {
    await connection.close()
  }
}
