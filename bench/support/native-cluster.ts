/**
 * Gateways as an operator runs them, each a process, over NATS on one PostgreSQL: with a chain, three KMS nodes (2 of 3) and an
 * object store. Nodes come and go while everything else stays.
 */
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { startWorld, type World } from "../../bin/dev-world.ts"
import { NatsCluster } from "../../chaos/process/nats-cluster.ts"
import { freePort, NatsServer } from "../../test/support/nats-server.ts"
import { bulkClient, type BulkClient } from "./bulk-client.ts"
import { startGatewayProcess, type MemoryMiB } from "./gateway-process.ts"
import { BLOCK_SECONDS } from "./journey-rig.ts"
import { untilShared } from "./lease-holders.ts"

export interface NativeClusterOptions {
  /** Three keep three copies of every stream. */
  readonly natsServers: 1 | 3
  readonly lanes: number
  /** Handles that are encrypted and registered beforehand. */
  readonly handles: number
  /** Of the gateways' processes, besides their settings. */
  readonly environment?: Readonly<Record<string, string>>
}

export interface GatewayNode {
  readonly name: string
  readonly roles: string
  readonly memory: () => MemoryMiB
  /** Bytes of its heap in use, by its own metrics. */
  readonly heapUsed: () => Promise<number>
  /** SIGTERM. */
  readonly stop: () => Promise<void>
  /** SIGKILL. */
  readonly kill: () => Promise<void>
}

export const ALL_ROLES = "listener,coordinator,worker,sender,api"
/** Each has one core at most to itself: two threads each would only get into each other's way. */
const ENGINE_WORKERS = "1"
const RESTART_AFTER_MS = 500

const SPEND_GWEI_MAX = "1000000000000"

export class NativeCluster {
  readonly world: World
  readonly nats: ReadonlyMap<string, NatsServer>
  readonly client: BulkClient
  /** By name, in the order in which they were started. */
  readonly nodes = new Map<string, GatewayNode>()
  /** Ends that nobody asked for: a gateway that died of what was done to others. */
  readonly unexpectedEnds: Array<string> = []
  private readonly scope: Scope.Closeable
  private readonly environment: Readonly<Record<string, string>>
  private isStopping = false

  static async start({ natsServers, lanes, handles, environment = {} }: NativeClusterOptions): Promise<NativeCluster> {
    const scope = await Effect.runPromise(Scope.make())
    try {
      const { servers, stop } = await startNats(natsServers)
      await Effect.runPromise(Scope.addFinalizer(scope, Effect.promise(stop)))
      const options = { nodes: 3, threshold: 2, lanes, anvil: { blockTimeSeconds: BLOCK_SECONDS } }
      const world = await Effect.runPromise(Scope.provide(startWorld(options), scope))
      const client = await bulkClient(world)
      await client.prepare(handles)
      return new NativeCluster(world, servers, client, scope, environment)
    } catch (error) {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      throw error
    }
  }

  private constructor(
    world: World,
    nats: ReadonlyMap<string, NatsServer>,
    client: BulkClient,
    scope: Scope.Closeable,
    environment: Readonly<Record<string, string>>
  ) {
    this.world = world
    this.nats = nats
    this.client = client
    this.scope = scope
    this.environment = environment
  }

  async startNode(name: string, roles = ALL_ROLES): Promise<GatewayNode> {
    const { world, nats } = this
    const cache = join(world.directory, `cache-${name}`)
    await mkdir(cache, { recursive: true, mode: 0o700 })
    const port = await freePort()
    const gateway = await startGatewayProcess(
      world,
      {
        PORTCULLIS_NODE_NAME: name,
        PORTCULLIS_ROLES: roles,
        PORTCULLIS_BUS: [...nats.values()].map(({ url }) => url).join(","),
        PORTCULLIS_NATS_REPLICAS: nats.size >= 3 ? "3" : "1",
        PORTCULLIS_CACHE_DIR: cache,
        PORTCULLIS_ENGINE_WORKERS: ENGINE_WORKERS,
        PORTCULLIS_HTTP_LISTEN: `127.0.0.1:${port}`,
        // One requester asks for everything here: its results may cost what all lanes may, or they wait after some thousands, as they should.
        PORTCULLIS_LANE_SPEND_GWEI_MAX: SPEND_GWEI_MAX,
        PORTCULLIS_REQUESTER_SPEND_GWEI_MAX: SPEND_GWEI_MAX,
        ...this.environment
      },
      (how) => this.startAgain(name, roles, how)
    )
    const node = { name, roles, memory: gateway.memory, heapUsed: () => heapUsed(port), stop: gateway.stop, kill: gateway.kill }
    this.nodes.set(name, node)
    return node
  }

  /** As a service manager does with what has ended by itself; the report says that it had to. */
  private startAgain(name: string, roles: string, how: string): void {
    this.unexpectedEnds.push(`${name}: ${how}`)
    const again = () => (this.isStopping ? undefined : this.startNode(name, roles).catch(() => undefined))
    setTimeout(() => void again(), RESTART_AFTER_MS)
  }

  /** So many nodes that do everything, and that share the partitions. */
  async setNodes(count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, index) => `g${index + 1}`)
    await Promise.all([...this.nodes.keys()].filter((name) => !names.includes(name)).map((name) => this.stopNode(name)))
    for (const name of names) if (!this.nodes.has(name)) await this.startNode(name)
    await this.untilShared()
  }

  async stopNode(name: string): Promise<void> {
    await this.nodes.get(name)?.stop()
    this.nodes.delete(name)
  }

  /** SIGKILL; answers its roles, for whoever starts it again. */
  async killNode(name: string): Promise<string> {
    const node = this.nodes.get(name)
    if (node === undefined) throw new TypeError(`there is no node ${name} to kill`)
    await node.kill()
    this.nodes.delete(name)
    return node.roles
  }

  async untilShared(): Promise<void> {
    const coordinators = [...this.nodes.values()].filter(({ roles }) => roles.split(",").includes("coordinator")).length
    if (coordinators > 0) await untilShared(this.world.postgres.address, coordinators)
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await Promise.all([...this.nodes.keys()].map((name) => this.stopNode(name)))
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
  }
}

/** A server alone is no cluster, and one that was told to be would wait for the others. */
const startNats = async (count: NativeClusterOptions["natsServers"]) => {
  if (count > 1) return NatsCluster.alone()
  const server = await NatsServer.start()
  return { servers: new Map([["n1", server]]), stop: () => server.dispose() }
}

const heapUsed = async (port: number): Promise<number> => {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const found = /^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)/m.exec(page)
  if (found === null) throw new TypeError("the metrics page does not say how large the heap is")
  return Number(found[1])
}
