/** The world that a gateway lives in, on one machine and with nothing installed: PostgreSQL, a chain with the contracts, a dealt committee
 * with each node in a process of its own, an object store. For development, tests and benches; everything in it is thrown away. */
import { spawn, type ChildProcess } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Schema } from "effect"
import { HDNodeWallet, JsonRpcProvider, Mnemonic, NonceManager, Wallet } from "ethers"
import { devAuthority } from "../src/adapters/dev-certificates/dev-certificates.ts"
import { ANVIL_MNEMONIC, startAnvil, type Anvil, type AnvilOptions } from "../src/adapters/embedded/anvil.ts"
import { startPostgres, type PostgresServer, type PostgresServerOptions } from "../src/adapters/embedded/postgres-server.ts"
import type { Contracts } from "../src/adapters/ethereum/addresses.ts"
import { deployPortcullis } from "../src/adapters/ethereum/deploy.ts"
import { dealFiles, KEY_FILE, nodeDirectory } from "../src/adapters/kms-node/deal-files.ts"
import type { Security } from "../src/adapters/kms-node/security.ts"
import { localKeyEncryptionKeyLayer } from "../src/adapters/local-keys/key-encryption-key.layer.ts"
import { startEngine } from "../src/adapters/worker-threads/engine-choice.ts"
import type { AttestationScheme, Committee, NodeId } from "../src/domain/committee.ts"
import type { NodeFault } from "../src/kms-node/fault.ts"

export interface WorldOptions {
  readonly nodes: number
  readonly threshold: number
  readonly scheme?: AttestationScheme
  readonly anvil?: AnvilOptions
  readonly postgres?: PostgresServerOptions
  /** Sending accounts. */
  readonly lanes: number
  readonly fault?: (id: NodeId) => NodeFault | undefined
  /** What the committee's record says instead of the port on which a node listens: something stands in between. */
  readonly kmsDoor?: (id: NodeId, port: number) => Promise<number>
  /** More environment for a node; asked at each of its starts. */
  readonly kmsEnvironment?: (id: NodeId) => Readonly<Record<string, string>>
  /** Told as each part comes up. */
  readonly onReady?: (part: string) => void
}

export interface World {
  /** Removed when the scope closes. */
  readonly directory: string
  readonly postgres: PostgresServer
  readonly anvil: Anvil
  readonly contracts: Contracts
  readonly committee: Committee
  readonly security: Security
  readonly keyEncryptionKeyFile: string
  readonly store: { readonly name: string; readonly path: string }
  readonly cacheDirectory: string
  readonly lanes: ReadonlyArray<Wallet>
  /** Pays for requests; numbers its transactions itself, so it may be used from many places at once. */
  readonly requester: NonceManager
  readonly provider: JsonRpcProvider
  readonly kms: KmsProcesses
  /** As `portcullis gateway` and `portcullis kms-node` read them. */
  readonly environment: Readonly<Record<string, string>>
}

export interface KmsProcesses {
  readonly stop: (id: NodeId, signal?: NodeJS.Signals) => Promise<void>
  readonly start: (id: NodeId, fault?: NodeFault) => Promise<void>
  readonly answerLog: (id: NodeId) => string
  /** Missing while it does not run. */
  readonly pid: (id: NodeId) => number | undefined
}

/** A part of the world did not come up. */
export class WorldNotReady extends Schema.TaggedError<WorldNotReady>()("WorldNotReady", { part: Schema.String, detail: Schema.String }) {
  override get message() {
    return `${this.part}: ${this.detail}`
  }
}

const STORE = "dev"
const EPOCH = 1
/** Accounts of the well-known mnemonic: 0 deploys, 1 asks, 2 and up send. */
const [DEPLOYER, REQUESTER, FIRST_LANE] = [0, 1, 2]
const NODE_READY_MS_MAX = 30_000

export const startWorld = Effect.fnUntraced(function* (options: WorldOptions) {
  const ready = options.onReady ?? (() => {})
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "portcullis-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const ports = yield* Effect.promise(() => Promise.all(Array.from({ length: options.nodes }, freePort)))
  const doors = yield* Effect.promise(() => Promise.all(ports.map((port, index) => options.kmsDoor?.(index + 1, port) ?? port)))
  const [postgres, anvil, committee] = yield* Effect.all(
    [
      startPostgres(options.postgres ?? {}).pipe(Effect.tap(({ version }) => Effect.sync(() => ready(`PostgreSQL ${version}`)))),
      startAnvil({ accounts: FIRST_LANE + options.lanes, ...options.anvil }).pipe(
        Effect.tap(({ chainId, url }) => Effect.sync(() => ready(`chain ${chainId} at ${url}`)))
      ),
      deal(directory, options, doors)
    ],
    { concurrency: "unbounded" }
  )
  const wallet = (index: number) => new Wallet(HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(ANVIL_MNEMONIC), `m/44'/60'/0'/0/${index}`).privateKey)
  const provider = yield* Effect.acquireRelease(
    Effect.sync(() => new JsonRpcProvider(anvil.url, anvil.chainId, { staticNetwork: true, cacheTimeout: -1, batchStallTime: 0, pollingInterval: 100 })),
    (open) => Effect.sync(() => open.destroy())
  )
  const deployed = yield* Effect.promise(() => deployPortcullis(wallet(DEPLOYER).connect(provider), committee))
  ready(`contracts; gateway at ${deployed.addresses.decryptionGateway}`)
  const contracts: Contracts = { chainId: BigInt(anvil.chainId), startBlock: deployed.blockNumber, ...deployed.addresses }
  const lanes = Array.from({ length: options.lanes }, (_, index) => wallet(FIRST_LANE + index))

  const authority = devAuthority(Date.now())
  const security: Security = { mutualTls: { authority: authority.authority, ...authority.client("gateway") } }
  const files = yield* Effect.promise(() => writeFiles(directory, anvil.url, contracts, lanes, security, postgres))
  const kms = yield* kmsProcesses(directory, ports, files.environment, authority, options.kmsEnvironment ?? (() => ({})))
  yield* Effect.promise(() => Promise.all(committee.nodes.map(({ id }) => kms.start(id, options.fault?.(id)))))
  ready(`${options.nodes} KMS nodes, ${options.threshold} of them needed`)

  return {
    directory,
    postgres,
    anvil,
    contracts,
    committee,
    security,
    keyEncryptionKeyFile: files.keyFile,
    store: { name: STORE, path: files.storePath },
    cacheDirectory: files.cachePath,
    lanes,
    requester: new NonceManager(wallet(REQUESTER).connect(provider)),
    provider,
    kms,
    environment: files.environment
  } satisfies World as World
})

const deal = Effect.fnUntraced(function* (directory: string, options: WorldOptions, doors: ReadonlyArray<number>) {
  const engine = yield* Effect.promise(() => startEngine("mcl"))
  return yield* dealFiles({
    engine,
    directory: join(directory, "committee"),
    epoch: EPOCH,
    threshold: options.threshold,
    nodes: options.nodes,
    scheme: options.scheme ?? "bls",
    endpoint: (id) => `127.0.0.1:${doors[id - 1]}`,
    keyLayer: (path) => localKeyEncryptionKeyLayer({ path })
  })
})

const writeFiles = async (
  directory: string,
  rpcUrl: string,
  contracts: Contracts,
  lanes: ReadonlyArray<Wallet>,
  security: Security,
  postgres: PostgresServer
) => {
  const at = (name: string) => join(directory, name)
  const secret = { mode: 0o600 }
  await Promise.all(["store", "cache", "tls"].map((name) => mkdir(at(name), { recursive: true, mode: 0o700 })))
  await writeFile(at("key-encryption-key"), randomBytes(32), secret)
  await writeFile(at("lane-keys"), lanes.map(({ privateKey }) => `${privateKey}\n`).join(""), secret)
  const { chainId, startBlock, ...addresses } = contracts
  await writeFile(at("deployment.json"), JSON.stringify({ chainId: chainId.toString(), startBlock, addresses }, null, 2))
  if ("mutualTls" in security) {
    await writeFile(join(at("tls"), "ca.pem"), security.mutualTls.authority)
    await writeFile(join(at("tls"), "cert.pem"), security.mutualTls.certificate)
    await writeFile(join(at("tls"), "key.pem"), security.mutualTls.privateKey, secret)
  }
  await writeFile(at("database-url"), databaseUrl(postgres), secret)
  return {
    keyFile: at("key-encryption-key"),
    storePath: at("store"),
    cachePath: at("cache"),
    environment: {
      PORTCULLIS_DATABASE_URL_FILE: at("database-url"),
      PORTCULLIS_KEY_ENCRYPTION_KEY_FILE: at("key-encryption-key"),
      PORTCULLIS_RPC_URL: rpcUrl,
      PORTCULLIS_DEPLOYMENT_FILE: at("deployment.json"),
      PORTCULLIS_LANE_KEYS_FILE: at("lane-keys"),
      PORTCULLIS_KMS_TLS_DIR: at("tls"),
      PORTCULLIS_STORES: `${STORE}=${at("store")}`,
      PORTCULLIS_CACHE_DIR: at("cache")
    }
  }
}

const databaseUrl = ({ address }: PostgresServer): string => {
  const user = address.password === undefined ? address.user : `${address.user}:${encodeURIComponent(address.password)}`
  return address.host.startsWith("/")
    ? `postgres://${user}@localhost:${address.port}/${address.database}?host=${encodeURIComponent(address.host)}`
    : `postgres://${user}@${address.host}:${address.port}/${address.database}`
}

const kmsProcesses = (
  directory: string,
  ports: ReadonlyArray<number>,
  environment: Readonly<Record<string, string>>,
  authority: ReturnType<typeof devAuthority>,
  more: (id: NodeId) => Readonly<Record<string, string>>
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const running = new Map<NodeId, ChildProcess>()
      const home = (id: NodeId) => nodeDirectory(join(directory, "committee"), id)
      const answerLog = (id: NodeId) => join(home(id), "answers.jsonl")
      return {
        running,
        answerLog,
        pid: (id: NodeId) => running.get(id)?.pid,
        start: async (id: NodeId, fault?: NodeFault) => {
          const tls = join(home(id), "tls")
          const certificate = authority.server(["127.0.0.1", "localhost"])
          await mkdir(tls, { recursive: true, mode: 0o700 })
          await writeFile(join(tls, "ca.pem"), authority.authority)
          await writeFile(join(tls, "cert.pem"), certificate.certificate)
          await writeFile(join(tls, "key.pem"), certificate.privateKey, { mode: 0o600 })
          const child = spawn(process.execPath, [CLI, "kms-node", ...(fault === undefined ? [] : ["--fault", fault])], {
            stdio: ["ignore", "pipe", "pipe"],
            env: {
              PATH: process.env["PATH"] ?? "",
              // What a node of another operator would know of us: the chain and the contracts, and nothing of the gateway.
              PORTCULLIS_RPC_URL: environment["PORTCULLIS_RPC_URL"] ?? "",
              PORTCULLIS_DEPLOYMENT_FILE: environment["PORTCULLIS_DEPLOYMENT_FILE"] ?? "",
              PORTCULLIS_KMS_DIR: home(id),
              PORTCULLIS_KMS_KEY_FILE: join(home(id), KEY_FILE),
              PORTCULLIS_KMS_ANSWER_LOG: answerLog(id),
              PORTCULLIS_KMS_LISTEN: `127.0.0.1:${ports[id - 1]}`,
              PORTCULLIS_KMS_TLS_DIR: tls,
              PORTCULLIS_ACL_FINALITY: "latest",
              ...more(id)
            }
          })
          running.set(id, child)
          await firstLine(child, `KMS node ${id}`)
        },
        stop: async (id: NodeId, signal: NodeJS.Signals = "SIGTERM") => {
          const child = running.get(id)
          running.delete(id)
          if (child !== undefined && child.exitCode === null && child.kill(signal)) await once(child, "exit")
        }
      }
    }),
    (processes) => Effect.promise(() => Promise.all([...processes.running.keys()].map((id) => processes.stop(id))))
  )

const CLI = fileURLToPath(new URL("./portcullis.js", import.meta.url))

/** A node says one line when it serves. */
const firstLine = (child: ChildProcess, part: string) =>
  new Promise<void>((resolve, reject) => {
    const said: Array<string> = []
    const fail = (why: string) => reject(new WorldNotReady({ part, detail: [why, ...said].join("\n") }))
    const timer = setTimeout(() => fail("it did not serve in time"), NODE_READY_MS_MAX)
    child.stderr?.on("data", (chunk: Buffer) => said.push(chunk.toString()))
    child.once("exit", () => fail("it ended"))
    createInterface({ input: child.stdout! }).once("line", () => {
      clearTimeout(timer)
      child.stdout?.resume()
      resolve()
    })
  })

/** Below the range from which the kernel gives ports to outgoing connections: a node that is started again finds its port free. */
const [PORT_LEAST, PORT_MOST] = [20_000, 32_000]
const PORT_TRIES_MAX = 50

const freePort = async (): Promise<number> => {
  for (let tries = 1; ; tries++) {
    const server = createServer().listen(randomInt(PORT_LEAST, PORT_MOST), "127.0.0.1")
    try {
      await once(server, "listening")
    } catch (error) {
      if (tries === PORT_TRIES_MAX) throw error
      continue
    }
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, "close")
    return port
  }
}
