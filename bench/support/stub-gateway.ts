/**
 * A gateway whose outside world answers at once: real PostgreSQL, a real bus, every actor of ours. What is left is what the
 * engine costs. Lives as long as its scope, in the process of a bench or in one of its own (stub-node.ts).
 */
import { randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import { Wallet } from "ethers"
import { detectedActor } from "../../actors/1-detected.actor.ts"
import { coordinator } from "../../actors/coordinator.actor.ts"
import { followPartitions } from "../../actors/runtime/follow-partitions.ts"
import { ownPartitions } from "../../actors/runtime/partitions.ts"
import { gatherOutcomes, Gathered } from "../../actors/runtime/publish-outcomes.ts"
import { Recent } from "../../actors/runtime/recent-requests.ts"
import { stepActor } from "../../actors/runtime/step-actor.ts"
import { sweeper } from "../../actors/sweeper.actor.ts"
import { startGateway } from "../../bin/gateway.ts"
import type { GatewayOptions } from "../../bin/gateway-options.ts"
import { ROLES } from "../../src/domain/cluster.ts"
import { inProcessBus } from "../../src/adapters/embedded/in-process-bus.layer.ts"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { natsBus } from "../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS, type NatsSettings } from "../../src/adapters/nats/nats-settings.ts"
import { ledgerLayer } from "../../src/adapters/postgres/ledger.layer.ts"
import { databaseLayer } from "../../src/adapters/postgres/pool.ts"
import { threadLeaseKeeper } from "../../src/adapters/postgres/thread-lease-keeper.layer.ts"
import { telemetryLayer } from "../../src/adapters/prometheus/telemetry.layer.ts"
import { JOURNEY, type Milestone } from "../../src/domain/journey.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import { CHAIN_ID, type StubChain } from "./stub-chain.ts"
import { stubPorts } from "./stub-ports.ts"

/**
 * `steps`: the six steps answer at once and do nothing. `ports`: the steps are ours, with shares, results and lanes in the
 * ledger; only the ports behind them answer at once.
 */
export type Stubbed = "steps" | "ports"

export interface StubGatewayOptions {
  readonly name: string
  readonly stubbed: Stubbed
  readonly chain: StubChain
  readonly wallets: ReadonlyArray<Wallet>
  readonly postgres: PostgresAddress
  /** Missing: the bus is in this process. */
  readonly natsUrl: string | undefined
  readonly keyEncryptionKeyFile: string
  readonly onFinished: () => void
}

const POLL_MS = 10
const CONCURRENCY = 8
const ZERO = `0x${"00".repeat(20)}` as const
const HASH = `0x${"ab".repeat(32)}` as const
const BLOCK = { blockNumber: 1, blockHash: HASH }

export const OUTCOMES: Readonly<Record<Milestone, StepOutcome>> = {
  detected: { type: "acl-checked", block: BLOCK },
  "acl-checked": { type: "ciphertext-fetched", digests: [HASH] },
  "ciphertext-fetched": { type: "shares-collected", nodes: [1, 2] },
  "shares-collected": { type: "threshold-verified", root: HASH, resultHash: HASH, nodes: [1, 2], liars: [] },
  "threshold-verified": { type: "submitted", txHash: HASH, block: BLOCK },
  submitted: { type: "finalized", txHash: HASH, block: BLOCK }
}

/** Everything but the steps' own doing. */
const startStubSteps = Effect.fnUntraced(function* ({ worker, workConcurrency, chain }: GatewayOptions) {
  const decides = yield* coordinator(worker, yield* ownPartitions(worker))
  yield* followPartitions(decides)
  yield* sweeper(decides)
  const gathered = yield* gatherOutcomes
  for (const reached of JOURNEY) {
    yield* stepActor(reached, workConcurrency, (requests) => Effect.succeed(requests.map(() => OUTCOMES[reached]))).pipe(
      Effect.provideService(Recent, decides.recent),
      Effect.provideService(Gathered, gathered)
    )
  }
  yield* detectedActor({ worker, startBlock: chain.contracts.startBlock, pollMs: chain.pollMs })
})

const optionsOf = (name: string, wallets: ReadonlyArray<Wallet>, bus: "embedded" | NatsSettings): GatewayOptions => ({
  worker: `${name}-${randomBytes(3).toString("hex")}`,
  roles: new Set(ROLES),
  database: { connection: { host: "", port: 0, user: "", database: "" }, applicationName: "portcullis-bench" },
  bus,
  keyEncryptionKeyFile: "",
  workConcurrency: CONCURRENCY,
  chain: {
    rpcUrl: "",
    contracts: {
      chainId: CHAIN_ID,
      startBlock: 0,
      decryptionGateway: ZERO,
      accessList: ZERO,
      ciphertextRegistry: ZERO,
      committeeRegistry: ZERO
    },
    aclFinality: { type: "latest" },
    resultFinality: { type: "latest" },
    pollMs: POLL_MS,
    lanes: wallets
  },
  kms: { security: { insecure: true } },
  stores: [],
  cache: { directory: "", bytesMax: 0 },
  engine: { name: "mcl", workers: 1 },
  http: undefined,
  log: { level: "silent", to: "stderr" }
})

export const startStubGateway = Effect.fnUntraced(function* (given: StubGatewayOptions) {
  const bus = given.natsUrl === undefined ? ("embedded" as const) : { ...NATS_DEFAULTS, servers: [given.natsUrl] }
  const options = optionsOf(given.name, given.wallets, bus)
  const database = { connection: given.postgres, applicationName: "portcullis-bench" }
  const ledger = ledgerLayer.pipe(
    Layer.provide(localKeyEncryptionKeyLayer({ path: given.keyEncryptionKeyFile })),
    Layer.provideMerge(databaseLayer(database))
  )
  const telemetry = telemetryLayer({
    level: "silent",
    to: "stderr",
    worker: options.worker,
    onFact: ({ to }) => (to === "finalized" ? given.onFinished() : undefined)
  })
  const context = yield* Layer.build(
    Layer.mergeAll(
      given.chain.layer(),
      stubPorts,
      ledger,
      threadLeaseKeeper({ database }).pipe(Layer.provide(Layer.merge(ledger, telemetry))),
      bus === "embedded" ? inProcessBus : natsBus(bus),
      telemetry
    )
  )
  if (given.stubbed === "steps") yield* startStubSteps(options).pipe(Effect.provide(context))
  else yield* startGateway(options).pipe(Effect.provide(context))
})
