/** The laws of the bus, kept by a real nats-server. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterAll, beforeAll } from "vitest"
import { natsBus } from "../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS } from "../../src/adapters/nats/nats-settings.ts"
import { NatsServer } from "../support/nats-server.ts"
import { busLaws } from "./bus.laws.ts"

let server: NatsServer
beforeAll(async () => {
  server = await NatsServer.start()
})
afterAll(() => server.dispose())

busLaws("the NATS bus", async () => {
  const connection = await connect({ servers: server.url })
  const manager = await jetstreamManager(connection)
  for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name)
  await connection.close()
  return natsBus({ ...NATS_DEFAULTS, servers: [server.url] })
})
