/** A whole world for a test: real chain, PostgreSQL and KMS processes, with gateways in this process or in their own, and the dApp's client. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { randomBytes } from "node:crypto"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Layer, Scope } from "effect"
import { Interface } from "ethers"
import { devGateway } from "../../bin/dev-gateway.ts"
import { startWorld, type World, type WorldOptions } from "../../bin/dev-world.ts"
import { gatewayLayer, startGateway } from "../../bin/gateway.ts"
import type { GatewayOptions } from "../../bin/gateway-options.ts"
import { abi as gatewayAbi } from "../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { directoryUpload } from "../../src/adapters/object-store/directory-upload.ts"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { Database, databaseLayer } from "../../src/adapters/postgres/pool.ts"
import { requestLedgerLayer } from "../../src/adapters/postgres/request-ledger.layer.ts"
import { connect, type Encrypted, type PortcullisClient } from "../../src/client/portcullis-client.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { RequestState } from "../../src/domain/journey.ts"
import type { TransitionView } from "../../src/domain/outcome.ts"
import { RequestLedger, type RequestSummary } from "../../src/ledger/request-ledger.port.ts"
import type { FactReached } from "../../src/telemetry/telemetry.port.ts"
import { COMPILED } from "./cli.ts"
import { eventually } from "./eventually.ts"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))
const gatewayInterface = new Interface(gatewayAbi)
const FULFILLED = gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash

export interface RunningGateway {
  readonly facts: ReadonlyArray<FactReached>
  readonly httpUrl: string | undefined
  /** Drains, as a SIGTERM would. */
  readonly stop: () => Promise<void>
}

export interface GatewayProcess {
  readonly pid: number
  /** Lines it has logged, parsed. */
  readonly lines: ReadonlyArray<Readonly<Record<string, unknown>>>
  /** Resolves at the first line that fits, before anything else is done with it. */
  readonly seen: (fits: (line: Readonly<Record<string, unknown>>) => boolean) => Promise<void>
  readonly kill: () => Promise<void>
  /** SIGTERM; answers the exit code. */
  readonly stop: () => Promise<number | null>
  /** The exit code, once it has ended, whoever ended it. */
  readonly ended: Promise<number | null>
}

export class JourneyWorld {
  readonly world: World
  readonly client: PortcullisClient
  /** Where tests ask the database themselves: another server after a failover. */
  databaseAddress: PostgresAddress
  private readonly scope: Scope.Closeable
  private readonly processes = new Set<ChildProcess>()

  static async start(options: Partial<WorldOptions> = {}): Promise<JourneyWorld> {
    const scope = await Effect.runPromise(Scope.make())
    const world = await Effect.runPromise(
      Scope.provide(startWorld({ nodes: 3, threshold: 2, lanes: 1, anvil: { blockTimeSeconds: 0.25 }, kmsEnvironment: () => COMPILED, ...options }), scope)
    )
    const client = await connect({ gateway: world.contracts.decryptionGateway, signer: world.requester })
    return new JourneyWorld(world, client, scope)
  }

  private constructor(world: World, client: PortcullisClient, scope: Scope.Closeable) {
    this.world = world
    this.databaseAddress = world.postgres.address
    this.client = client
    this.scope = scope
  }

  async stop(): Promise<void> {
    for (const child of this.processes) if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await once(child, "exit")
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
  }

  /** A gateway in this process: its facts can be looked at one by one. */
  async gateway(over: Partial<GatewayOptions> = {}): Promise<RunningGateway> {
    const facts: Array<FactReached> = []
    const scope = await Effect.runPromise(Scope.make())
    const options = devGateway(this.world, { onFact: (fact) => facts.push(fact), http: { host: "127.0.0.1", port: 0 }, ...over })
    const http = await Effect.runPromise(
      Scope.provide(
        Effect.gen(function* () {
          const context = yield* Layer.build(gatewayLayer(options))
          return yield* startGateway(options).pipe(Effect.provide(context))
        }),
        scope
      )
    )
    return { facts, httpUrl: http?.url, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }

  /** `portcullis gateway` as an operator runs it. */
  async gatewayProcess(settings: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
    const child = spawn(process.execPath, [CLI, "gateway"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...this.world.environment,
        PORTCULLIS_ACL_FINALITY: "latest",
        PORTCULLIS_RESULT_FINALITY: "confirmations:1",
        PORTCULLIS_POLL_MS: "50",
        PORTCULLIS_HTTP_LISTEN: "127.0.0.1:0",
        ...settings
      }
    })
    this.processes.add(child)
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve))
    const lines: Array<Readonly<Record<string, unknown>>> = []
    const watchers = new Set<(line: Readonly<Record<string, unknown>>) => void>()
    let errors = ""
    child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_096)))
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line = JSON.parse(text) as Readonly<Record<string, unknown>>
      lines.push(line)
      for (const watch of watchers) watch(line)
    })
    const seen = (fits: (line: Readonly<Record<string, unknown>>) => boolean) =>
      new Promise<void>((resolve, reject) => {
        if (lines.some(fits)) return resolve()
        watchers.add((line) => fits(line) && resolve())
        child.once("exit", (code) => reject(new TypeError(`the gateway ended (${code}): ${errors}`)))
      })
    const end = async (signal: NodeJS.Signals) => {
      if (child.exitCode === null && child.signalCode === null && child.kill(signal)) await once(child, "exit")
      return child.exitCode
    }
    await seen((line) => line["msg"] === "serving")
    return { pid: child.pid ?? 0, lines, seen, kill: async () => void (await end("SIGKILL")), stop: () => end("SIGTERM"), ended }
  }

  /** Encrypted, stored and registered; nobody is allowed yet. */
  async value(plaintext: Uint8Array = randomBytes(32), { stored = true } = {}): Promise<{ readonly value: Uint8Array; readonly encrypted: Encrypted; readonly location: string }> {
    const encrypted = await this.client.encrypt(plaintext)
    const upload = directoryUpload(this.world.store.name, this.world.store.path)
    const location = stored ? await upload.put(encrypted.digest, encrypted.ciphertext) : `store://${this.world.store.name}/${keyOf(encrypted.digest)}`
    await this.client.register(encrypted, [location])
    return { value: plaintext, encrypted, location }
  }

  async put(encrypted: Encrypted): Promise<void> {
    await directoryUpload(this.world.store.name, this.world.store.path).put(encrypted.digest, encrypted.ciphertext)
  }

  /** A public request that must succeed. */
  async publicRequest(options: { readonly deadlineSeconds?: number } = {}): Promise<{ readonly id: Hex; readonly value: Uint8Array }> {
    const { value, encrypted } = await this.value()
    await this.client.allowForDecryption(encrypted.handle)
    const { requestId } = await this.client.requestPublic([encrypted.handle], options)
    return { id: requestId, value }
  }

  /** Waits until the ledger says that the request stands in this state. */
  async reaches(id: Hex, state: RequestState, timeoutMs = 90_000): Promise<ReadonlyArray<TransitionView>> {
    let history: ReadonlyArray<TransitionView> = []
    const look = async () => {
      history = await this.history(id).catch(() => [])
      return history.at(-1)?.to === state
    }
    await eventually(`${id} reaches ${state}`, look, timeoutMs).catch((error: unknown) => {
      throw new TypeError(`${String(error)}\n${history.map(({ to, event }) => `${to} ${JSON.stringify(event)}`).join("\n")}`)
    })
    return history
  }

  history(id: Hex): Promise<ReadonlyArray<TransitionView>> {
    return this.ledger((ledger) => ledger.history(id))
  }

  list(): Promise<ReadonlyArray<RequestSummary>> {
    return this.ledger((ledger) => ledger.list({ limit: 100 }))
  }

  /** Transactions in which the contract says that it fulfilled this request: one, or something is wrong. */
  async fulfilments(id: Hex): Promise<ReadonlyArray<string>> {
    const logs = await this.world.provider.getLogs({
      address: this.world.contracts.decryptionGateway,
      topics: [FULFILLED, id],
      fromBlock: 0
    })
    return logs.map(({ transactionHash }) => transactionHash)
  }

  /** A question to the database behind everybody's back. */
  query<Row>(text: string): Promise<ReadonlyArray<Row>> {
    return Effect.runPromise(
      Database.use((database) => database.run<Row>("ask for a test", { name: `test-${text.length}-${text.slice(0, 20)}`, text }, [])).pipe(
        Effect.provide(this.database)
      )
    )
  }

  private ledger<A, E>(ask: (ledger: RequestLedger["Service"]) => Effect.Effect<A, E>): Promise<A> {
    return Effect.runPromise(RequestLedger.use(ask).pipe(Effect.provide(requestLedgerLayer.pipe(Layer.provide(this.database)))))
  }

  private get database() {
    return databaseLayer({ connection: this.databaseAddress, applicationName: "test", connectionsMax: 1 })
  }
}

const keyOf = (digest: Hex): string => `${digest.slice(2, 4)}/${digest.slice(2)}.pct`
