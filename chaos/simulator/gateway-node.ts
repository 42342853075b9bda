/** One simulated gateway: a process of its own with its own memory, links and clock, in which the real `startGateway` runs on doubles of what
 * lies outside. A second life of it is another process with another worker id. */
import { Cause, Effect, Exit, Layer, Scope } from "effect"
import { Wallet } from "ethers"
import { startGateway } from "../../bin/gateway.ts"
import type { GatewayOptions } from "../../bin/gateway-options.ts"
import { fiberLeaseKeeper } from "../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { ROLES } from "../../src/domain/cluster.ts"
import { lower } from "../../src/domain/hex.ts"
import { LedgerUnavailable } from "../../src/ledger/ledger-unavailable.ts"
import { MetricsPage } from "../../src/telemetry/metrics-page.port.ts"
import { chainPorts, type EndpointWay } from "./chain/chain-ports.ts"
import { Process } from "./event-loop.ts"
import { shareNodes, type KmsWay } from "./kms/share-nodes.ts"
import { simCombiner } from "./kms/sim-combiner.ts"
import { Connection } from "./ledger/connection.ts"
import { memoryLedger } from "./ledger/memory-ledger.ts"
import { sealerOf } from "./ledger/sealer.ts"
import { storePorts } from "./object-store.ts"
import { Link, type LinkOptions } from "./remote-call.ts"
import { busPorts, type MessageShares } from "./sim-bus.ts"
import { simTelemetry } from "./sim-telemetry.ts"
import type { Surroundings } from "./surroundings.ts"

/** Anvil's first accounts: known to everybody, worth nothing. One for each lane. */
export const LANE_WALLETS: ReadonlyArray<Wallet> = [1, 2, 3, 4].map((key) => new Wallet(`0x${String(key).padStart(64, "0")}`))

const LINKS = {
  ledger: { leastMs: 0.2, mostMs: 3, timeoutMs: 12_000 },
  bus: { leastMs: 0.2, mostMs: 4, timeoutMs: 5_000 },
  rpc: { leastMs: 2, mostMs: 40, timeoutMs: 10_000 },
  kms: { leastMs: 2, mostMs: 60, timeoutMs: 4_000 },
  store: { leastMs: 2, mostMs: 60, timeoutMs: 30_000 }
} satisfies Readonly<Record<string, LinkOptions>>

const COMBINE_MS = 3
/** Wei: 100 ether, more than any history spends. */
const ENDOWMENT = 10n ** 20n
/** Every few minutes in a real cluster; here nobody waits so long. */
const RESCAN_MS = 20_000
/** A day, a month and ten minutes in a real cluster: here lanes forget all that they may while everything else goes wrong. */
const LANE_HISTORY = { memory: { bytesMs: 2_000, historyMs: 5_000 }, everyMs: 3_000 }
/** Another endpoint than usual answers, as a load balancer likes it. */
const OTHER_ENDPOINT_CHANCE = 0.05
/** News of a block that never comes. */
const DEAF_CHANCE = 0.2

export class GatewayNode {
  readonly name: string
  readonly process: Process
  readonly links = new Map<string, Link>()
  readonly messages: MessageShares
  readonly connection: Connection
  /** Lanes that this node has lost the key of, by number from 1. */
  readonly lostKeys: ReadonlySet<number>
  private readonly world: Surroundings
  private readonly scope = Scope.makeUnsafe()
  /** For a drain that comes before it has started. */
  private readonly endStart: Effect.Effect<void>

  constructor(world: Surroundings, name: string, life: number, messages: MessageShares, lostKeys: ReadonlySet<number>) {
    this.world = world
    this.name = name
    this.messages = messages
    this.lostKeys = lostKeys
    this.process = new Process(name, world.loop, world.chance.stream(`${name}/${life}`))
    const chance = world.chance.stream(`${name}/${life}/links`)
    const link = (peer: string, kind: keyof typeof LINKS): Link => {
      const made = new Link(peer, this.process, world.process, chance, LINKS[kind])
      made.onAnswerLost = () => world.history.sometimes("answer from the ledger lost after its commit")
      made.onMoment = (moment, service, what) => world.onMoment(this, moment, service, what)
      this.links.set(peer, made)
      return made
    }
    const ledgerLink = link("postgres", "ledger")
    this.connection = new Connection(world.database, name, {
      before: ({ name: statement }) => ledgerLink.trip(statement, "there", unreachable(statement)),
      after: ({ name: statement }) => ledgerLink.trip(statement, "back", unreachable(statement))
    })
    const worker = `${name}-${life.toString(16).padStart(6, "0")}`
    const ways = world.endpoints.map((endpoint): EndpointWay => ({ endpoint, link: link(endpoint.name, "rpc") }))
    const usual = ways[(Number(name.slice(1)) - 1) % ways.length]!
    const choose = () => (chance.happens(OTHER_ENDPOINT_CHANCE) ? chance.pick(ways) : usual)
    const kmsWays = new Map(world.kmsNodes.map((there): [string, KmsWay] => [`k${there.id}`, { there, link: link(`k${there.id}`, "kms") }]))
    const wallets = LANE_WALLETS.slice(0, world.shape.lanes).filter((_, index) => !lostKeys.has(index + 1))
    const ledger = memoryLedger(this.connection, sealerOf({ node: worker, key: "simulated" }))
    const layer = Layer.mergeAll(
      ledger,
      fiberLeaseKeeper().pipe(Layer.provide(ledger)),
      busPorts({ broker: world.broker, link: link("nats", "bus"), process: this.process, faults: this.messages }),
      chainPorts({
        chainId: world.chainId,
        lanes: wallets.map(({ address }) => lower(address)),
        committee: world.committee.record,
        records: world.records,
        aclFinality: { type: "finalized" },
        resultFinality: { type: "finalized" },
        choose,
        elsewhere: () => ways.find((way) => way !== usual) ?? usual,
        onNextHead: (heard) => {
          // A socket that says so soon, or has been dead for a while without anybody knowing.
          if (chance.happens(DEAF_CHANCE)) return () => undefined
          const listener = () => void world.loop.after(this.process, chance.between(1, 50), heard)
          world.heads.add(listener)
          return () => void world.heads.delete(listener)
        },
        endowmentOf: () => ENDOWMENT,
        onBroadcast: (tx) => world.onBroadcast(tx)
      }),
      shareNodes((endpoint) => kmsWays.get(endpoint)),
      simCombiner(world.committee, (job) => Effect.as(Effect.sleep(COMBINE_MS), undefined).pipe(Effect.map(job)), () =>
        world.history.sometimes("attestation liar found")
      ),
      storePorts(link("store", "store"), world.store),
      simTelemetry(name, world.history, world.died),
      Layer.succeed(MetricsPage, { contentType: "text/plain", text: Effect.succeed("") })
    )
    // In the node's own scope: provided to the start alone, what the layers run beside it (the renewal of leases) would end with the start.
    const started = Effect.flatMap(Layer.build(world.mutation(layer)), (services) =>
      Effect.provideContext(startGateway(optionsOf(world, worker, wallets)), services)
    ).pipe(
      Scope.provide(this.scope),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.sync(() => world.onStartFailed(this, cause))
      )
    )
    this.endStart = this.process.fork(started)
  }

  kill(): void {
    this.process.kill()
    this.connection.cut()
    this.world.broker.forget(this.process)
  }

  /** SIGTERM: finalizers run, then it is gone. */
  drain(over: () => void): void {
    this.process.fork(
      this.endStart.pipe(
        Effect.andThen(Scope.close(this.scope, Exit.void)),
        Effect.andThen(
          Effect.sync(() => {
            this.kill()
            over()
          })
        )
      )
    )
  }
}

const unreachable = (doing: string) => () => Exit.fail(new LedgerUnavailable({ doing, cause: "no answer" }))

const optionsOf = (world: Surroundings, worker: string, lanes: ReadonlyArray<Wallet>): GatewayOptions => ({
  worker,
  roles: new Set(ROLES),
  database: { connection: { url: "" }, applicationName: "simulated" },
  bus: "embedded",
  keyEncryptionKeyFile: "",
  workConcurrency: 8,
  chain: {
    rpcUrl: "",
    contracts: {
      chainId: world.chainId,
      startBlock: 1,
      decryptionGateway: world.gateway,
      accessList: world.gateway,
      ciphertextRegistry: world.registry,
      committeeRegistry: world.gateway
    },
    aclFinality: { type: "finalized" },
    resultFinality: { type: "finalized" },
    pollMs: 500,
    rescan: { blocks: 256, everyMs: RESCAN_MS },
    laneHistory: LANE_HISTORY,
    lanes
  },
  kms: { security: { insecure: true } },
  stores: [],
  cache: { directory: "", bytesMax: 0 },
  engine: { name: "noble", workers: 0 },
  http: undefined,
  log: { level: "silent", to: "stdout" }
})

