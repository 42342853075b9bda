/** One gateway in this process whose outside world answers at once, with a PostgreSQL and a bus of its own. */
import { randomBytes } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { Wallet } from "ethers"
import { startPostgres } from "../../src/adapters/embedded/postgres-server.ts"
import { NatsServer } from "../../test/support/nats-server.ts"
import type { Rig } from "./open-loop.ts"
import { StubChain } from "./stub-chain.ts"
import { startStubGateway, type Stubbed } from "./stub-gateway.ts"
import { openTransitionLog, type TransitionLog } from "./transition-log.ts"

export type BusName = "nats" | "inProcess"

export interface EngineRig extends Rig {
  readonly log: TransitionLog
  readonly stop: () => Promise<void>
}

const LANES = 2

export const startEngineRig = async (stubbed: Stubbed, busName: BusName): Promise<EngineRig> => {
  const scope = await Effect.runPromise(Scope.make())
  const nats = busName === "nats" ? await NatsServer.start() : undefined
  const directory = await mkdtemp(join(tmpdir(), "portcullis-bench-"))
  const keyEncryptionKeyFile = join(directory, "key")
  await writeFile(keyEncryptionKeyFile, randomBytes(32), { mode: 0o600 })
  const wallets = Array.from({ length: LANES }, () => new Wallet(`0x${randomBytes(32).toString("hex")}`))
  const chain = new StubChain(wallets.map(({ address }) => address))
  const postgres = await Effect.runPromise(Scope.provide(startPostgres(), scope))
  let finished = 0
  const gateway = startStubGateway({
    name: "bench",
    stubbed,
    chain,
    wallets,
    postgres: postgres.address,
    natsUrl: nats?.url,
    keyEncryptionKeyFile,
    onFinished: () => void (finished += 1)
  })
  await Effect.runPromise(Scope.provide(gateway, scope))
  const log = await openTransitionLog(postgres.address)
  return {
    raise: async (count) => chain.pour({ count, timestamp: Math.floor(Date.now() / 1_000) }),
    finished: async () => finished,
    log,
    stop: async () => {
      await log.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await nats?.dispose()
      await rm(directory, { recursive: true, force: true })
    }
  }
}
