/** The rig of real processes: a NATS cluster, PostgreSQL, anvil, KMS nodes, gateways, an object store, on this machine and nobody else's. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { Effect, Exit, Scope } from "effect"
import { bulkClient } from "../../bench/support/bulk-client.ts"
import { startWorld } from "../../bin/dev-world.ts"
import type { Records } from "../../bin/verify/records.ts"
import { gatewayInterface } from "../../src/adapters/ethereum/inspection.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { freePort } from "../../test/support/nats-server.ts"
import { targetsOf, targetsOfKind, type Rig, type RigEvent, type Settled, type StartRig, type Target } from "../rig.ts"
import { seededRandom } from "../seeded-random.ts"
import { Chain } from "./chain.ts"
import { Databases, POSTGRES_SETTINGS } from "./databases.ts"
import { Gateway, skewable, type Link } from "./gateways.ts"
import { LinkProxy } from "./link-proxy.ts"
import { NatsCluster } from "./nats-cluster.ts"
import { serveObjectStore } from "./object-store.ts"
import { logsOf, processLevers, untilTrue } from "./process-levers.ts"
import { recordsOf, settledOf, statesOf } from "./records.ts"
import { startRpcEndpoint } from "./rpc-endpoint.ts"
import { SmallDisk } from "./small-disk.ts"

/** Handles that are encrypted beforehand; each may be asked for many times. */
const HANDLES_MAX = 200
const LOOK_EVERY_MS = 500
const SAME_LINE_MS = 1_000
/** Sixteen blocks to finality: no reorganisation of a scenario is deeper, and a listener rightly stops when final blocks are taken back. */
const SLOTS_IN_AN_EPOCH = 8
/** The first request of a cluster that has to make its streams and elect its leaders. */
const WARM_UP_MS_MAX = 60_000
/** Of a full disk: what PostgreSQL needs to begin with, and a little. */
const POSTGRES_DISK_MIB = 320
const NATS_DISK_MIB = 24
const CACHE_DISK_MIB = 2
const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash

export const startProcessRig: StartRig<Records> = async ({ shape, seed, requestsMax, onEvent }) => {
  const startedMs = performance.now()
  const events: Array<RigEvent> = []
  const nowMs = () => Math.round(performance.now() - startedMs)
  const said = new Map<string, number>()
  const note: Rig["note"] = (event) => {
    const dated = { atMs: nowMs(), ...event }
    if (event.kind === "log") {
      // A consumer for each subject says the same in the same moment.
      const key = `${event.node} ${event.text}`
      const last = said.get(key)
      said.set(key, dated.atMs)
      if (last !== undefined && dated.atMs - last < SAME_LINE_MS) return
    }
    events.push(dated)
    onEvent?.(dated)
  }
  const random = seededRandom(seed).fork("process rig")
  const scope = await Effect.runPromise(Scope.make())
  const closing: Array<() => Promise<unknown>> = [() => Effect.runPromise(Scope.close(scope, Exit.void))]
  const disks = new Map<Target, SmallDisk>()
  /** What was opened last is closed first; one that fails does not keep the others open. */
  const stop = async () => {
    // Whose folders are removed must find folders and not mounts; what still runs keeps its own.
    for (const disk of disks.values()) closing.push(() => disk.unmount())
    disks.clear()
    for (const close of closing.splice(0).toReversed()) await close().catch((error: unknown) => note({ node: "campaign", kind: "phase", text: `while stopping: ${String(error)}` }))
  }
  const smallDisk = async (target: Target, folder: string, mebibytes: number) => {
    if (!shape.hasSmallDisks) return
    disks.set(target, await SmallDisk.over(folder, mebibytes))
  }
  try {
    const postgresFolder = shape.hasSmallDisks || shape.hasStandby ? await mkdtemp(join(tmpdir(), "portcullis-chaos-pg-")) : undefined
    if (postgresFolder !== undefined) {
      await smallDisk("postgres", postgresFolder, POSTGRES_DISK_MIB)
      closing.unshift(() => rm(postgresFolder, { recursive: true, force: true }))
    }
    const nodes = targetsOfKind(shape, "kms")
    const kmsDoors: Array<Link> = []
    let clocks = ""
    const world = await Effect.runPromise(
      Scope.provide(
        startWorld({
          nodes: shape.kmsNodes,
          threshold: shape.threshold,
          lanes: shape.lanes,
          anvil: { slotsInAnEpoch: SLOTS_IN_AN_EPOCH },
          postgres: {
            listen: { tcpPort: await freePort() },
            settings: POSTGRES_SETTINGS,
            ...(postgresFolder === undefined ? {} : { directory: postgresFolder })
          },
          kmsDoor: async (id, port) => {
            const proxy = await LinkProxy.open({ upstream: { host: "127.0.0.1", port } })
            kmsDoors.push({ from: "gateways", to: nodes[id - 1]!, proxy })
            closing.unshift(() => proxy.close())
            return proxy.port
          },
          kmsEnvironment: (id) => (clocks === "" ? {} : skewable(join(clocks, `k${id}`)))
        }),
        scope
      )
    )
    const databases = new Databases(world.postgres, postgresFolder, scope)
    closing.unshift(() => databases.removeFolders())
    if (shape.hasStandby) await databases.prepareStandby()
    clocks = join(world.directory, "clocks")
    await mkdir(clocks)
    const nats = await NatsCluster.start(targetsOfKind(shape, "nats-server"), (name, folder) => smallDisk(name, folder, NATS_DISK_MIB))
    closing.push(() => nats.stop())
    const store = await serveObjectStore(world.store.path, random.fork("store"))
    closing.push(() => store.close())
    const endpoints = new Map(
      await Promise.all(
        targetsOfKind(shape, "rpc").map(async (name) => {
          const endpoint = await startRpcEndpoint(world.anvil.url, random.fork(name))
          closing.push(() => endpoint.close())
          return [name, endpoint] as const
        })
      )
    )
    const client = await bulkClient(world)
    await client.prepare(Math.min(requestsMax, HANDLES_MAX))
    const chain = await Chain.of(world, client.account)
    closing.push(() => chain.stop())

    const doors = {
      postgresPort: world.postgres.address.port,
      nats: [...nats.servers].map(([name, { port }]) => ({ name, port })),
      rpc: [...endpoints].map(([name, { port }]) => ({ name, port })),
      storePort: store.port
    }
    const gateways = new Map<Target, Gateway>()
    for (const name of targetsOfKind(shape, "gateway")) {
      const gateway = await Gateway.prepare(name, world, doors, random.fork(name), note)
      gateways.set(name, gateway)
      closing.push(() => gateway.dispose())
      await smallDisk(name, gateway.cacheDirectory, CACHE_DISK_MIB)
    }
    await Promise.all([...gateways.values()].map((gateway) => gateway.start()))
    const raised: Array<RequestId> = []
    let settled: Settled = settledOf([], new Map())
    const raise: Rig["raise"] = async (count, { inOneBlock = false } = {}) => {
      const hashes = inOneBlock
        ? await chain.held(async () => {
            const sent = await client.raise(count)
            await chain.mine()
            return sent
          })
        : await client.raise(count)
      const receipts = await Promise.all(hashes.map((hash) => chain.mined(hash)))
      const ids = receipts.flatMap(({ logs }) => logs.filter(({ topics }) => topics[0] === REQUESTED).map(({ topics }) => topics[1] as RequestId))
      if (ids.length !== count) throw new TypeError(`${count} requests were raised and the chain has ${ids.length} of them`)
      return ids
    }
    // Not counted: the cluster has to work before it is hurt.
    const first = await raise(1)
    const isThrough = async () => {
      const [state] = (await statesOf(databases.primary.address, first).catch(() => new Map())).values()
      return state === "submitted" || state === "finalized"
    }
    await untilTrue(isThrough, WARM_UP_MS_MAX, LOOK_EVERY_MS)
    if (!(await isThrough())) throw new TypeError(`the cluster could not carry a first request within ${WARM_UP_MS_MAX / 1_000} s`)
    note({ node: "campaign", kind: "phase", text: `${targetsOf(shape).join(" ")} are up` })
    return {
      name: "process",
      shape,
      targets: targetsOf(shape),
      levers: processLevers({
        world,
        databases,
        chain,
        nats,
        store,
        endpoints,
        gateways,
        disks,
        links: [...[...gateways.values()].flatMap(({ links }) => links), ...nats.links, ...kmsDoors],
        setKmsClock: (node, offsetMs) => writeFile(join(clocks, node), String(offsetMs))
      }),
      nowMs,
      pass: async (ms) => void (await pause(ms)),
      raise: async (count, options) => {
        const ids = await raise(count, options)
        raised.push(...ids)
        return ids
      },
      settle: async (boundMs) => {
        await untilTrue(
          async () => {
            const states = await statesOf(databases.primary.address, raised).catch(() => undefined)
            if (states !== undefined) settled = settledOf(raised, states)
            return states !== undefined && settled.open.length === 0
          },
          boundMs,
          LOOK_EVERY_MS
        )
        raised.length = 0
        return settled
      },
      records: async () => {
        const nodeLogs = await Promise.all(
          nodes.map(async (_, index) => (await logsOf(world.kms.answerLog(index + 1))).map((path) => ({ node: index + 1, path })))
        )
        return recordsOf(world, databases.primary.address, nodeLogs.flat())
      },
      events: () => events,
      note,
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
