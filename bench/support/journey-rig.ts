/**
 * The whole path for a bench: PostgreSQL with fsync, a chain with blocks every quarter of a second, three KMS processes, an
 * object store, and one gateway process on either bus.
 */
import { Effect, Exit, Scope } from "effect"
import { startWorld, type World, type WorldOptions } from "../../bin/dev-world.ts"
import { NatsServer } from "../../test/support/nats-server.ts"
import { bulkClient, type BulkClient } from "./bulk-client.ts"
import type { BusName } from "./engine-rig.ts"
import { startGatewayProcess, type GatewayProcess } from "./gateway-process.ts"
import type { Rig } from "./open-loop.ts"
import { openTransitionLog, type TransitionLog } from "./transition-log.ts"

export interface JourneyRig extends Rig {
  readonly world: World
  readonly client: BulkClient
  readonly gateway: GatewayProcess
  readonly log: TransitionLog
  readonly stop: () => Promise<void>
}

export interface JourneyRigOptions {
  readonly bus: BusName
  readonly world?: Partial<WorldOptions>
  readonly settings?: Readonly<Record<string, string>>
}

export const BLOCK_SECONDS = 0.25
const LANES = 2

export const startJourneyRig = async ({ bus, world: over, settings }: JourneyRigOptions): Promise<JourneyRig> => {
  const scope = await Effect.runPromise(Scope.make())
  const nats = bus === "nats" ? await NatsServer.start() : undefined
  const world = await Effect.runPromise(
    Scope.provide(
      startWorld({ nodes: 3, threshold: 2, lanes: LANES, anvil: { blockTimeSeconds: BLOCK_SECONDS }, ...over }),
      scope
    )
  )
  const client = await bulkClient(world)
  const gateway = await startGatewayProcess(world, {
    PORTCULLIS_BUS: nats?.url ?? "embedded",
    PORTCULLIS_LOG_LEVEL: "info",
    ...settings
  })
  const log = await openTransitionLog(world.postgres.address)
  return {
    world,
    client,
    gateway,
    log,
    raise: async (count) => void (await client.raise(count)),
    finished: log.finished,
    stop: async () => {
      await log.close()
      await gateway.stop()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await nats?.dispose()
    }
  }
}
