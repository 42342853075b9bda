/** What gateways remember in JetStream of the database: the newest word of any of them, and nothing when its store was lost. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, References } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { natsBus } from "../../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS } from "../../../src/adapters/nats/nats-settings.ts"
import { ensureStreams, WITNESS_STREAM, WITNESS_SUBJECT } from "../../../src/adapters/nats/streams.ts"
import { witnessOver } from "../../../src/adapters/nats/witness.ts"
import type { Standing } from "../../../src/ledger/standing.ts"
import { Witness } from "../../../src/ledger/witness.port.ts"
import { NatsServer } from "../../support/nats-server.ts"

let server: NatsServer
beforeAll(async () => {
  server = await NatsServer.start()
})
afterAll(() => server.dispose())

const standing: Standing = { system: "7710842255496817161", timeline: 2, rewinds: 1, life: 1_795_325_512_375_637, position: 26_692_680 }

/** A gateway of its own, gone afterwards. */
const asGateway = <A>(use: (witness: Witness["Service"]) => Effect.Effect<A>): Promise<A> =>
  Effect.runPromise(
    Effect.flatMap(Witness, use).pipe(
      Effect.provide(natsBus({ ...NATS_DEFAULTS, servers: [server.url] })),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  )

test("a gateway that starts is told what any other said last, and none of what nobody can read", async () => {
  expect(await asGateway(({ recall }) => recall)).toBeNull()
  expect(await asGateway(({ remember }) => remember(standing))).toBeNull()
  const later = { ...standing, position: standing.position + 1 }
  expect(await asGateway(({ remember }) => remember(later)), "the word before").toEqual(standing)
  expect(await asGateway(({ recall }) => recall)).toEqual({ ...standing, position: standing.position + 1 })

  const connection = await connect({ servers: server.url })
  const manager = await jetstreamManager(connection)
  await manager.jetstream().publish(WITNESS_SUBJECT, "{")
  expect(await asGateway(({ recall }) => recall)).toBeNull()
  const told = await asGateway(({ remember, recall }) =>
    Effect.gen(function* () {
      yield* Effect.promise(() => manager.streams.delete(WITNESS_STREAM))
      yield* remember(standing) // finds no stream, and may join a making of it that had still seen one
      yield* remember(standing)
      return yield* recall
    })
  )
  expect(told).toEqual(standing)
  await connection.close()
})

test("a word is kept as soon as its stream is there again, also when somebody else's making of it had come too early", async () => {
  const connection = await connect({ servers: server.url })
  const session = { connection, jetstream: jetstream(connection), manager: await jetstreamManager(connection) }
  await session.manager.streams.delete(WITNESS_STREAM)
  let makings = 0
  const link = { session: Effect.succeed(session), onDrop: () => () => {} }
  const witness = witnessOver(link, async () => {
    makings += 1
    if (makings > 1) await ensureStreams(session, { ...NATS_DEFAULTS, servers: [server.url] })
  })
  await Effect.runPromise(witness.remember(standing)) // that stream was looked for before it was lost
  await Effect.runPromise(witness.remember(standing))
  expect(await Effect.runPromise(witness.recall)).toEqual(standing)
  await connection.close()
})

test("a gateway that finds no NATS when it starts is told nothing, and goes on", async () => {
  await server.dispose()
  expect(await asGateway(({ recall }) => recall)).toBeNull()
})
