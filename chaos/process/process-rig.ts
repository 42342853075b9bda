/** The rig of real processes: the services of docker-compose.yml (a NATS cluster, PostgreSQL, anvil, KMS nodes, gateways) from the file's own
 * commands and environment, and an object store and RPC endpoints of the rig, on this machine and nobody else's. */
import { setTimeout as pause } from "node:timers/promises"
import { JsonRpcProvider } from "ethers"
import { bulkClient, type BulkClient } from "../../bench/support/bulk-client.ts"
import type { Records } from "../../bin/verify/records.ts"
import { gatewayInterface } from "../../src/adapters/ethereum/inspection.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { unknownIn, upgradeLines } from "../builds.ts"
import { targetsOf, type Rig, type RigEvent, type Settled, type StartRig } from "../rig.ts"
import { seededRandom } from "../seeded-random.ts"
import { Chain } from "./chain.ts"
import { startComposedCluster, type ComposedWorld } from "./composed-cluster.ts"
import { composedLines, servicesFor } from "./composed-services.ts"
import { leftOver } from "./left-over.ts"
import { logsOf, processLevers, untilTrue } from "./process-levers.ts"
import { recordsOf, settledOf, statesOf } from "./records.ts"

/** Handles that are encrypted beforehand; each may be asked for many times. */
const HANDLES_MAX = 200
const LOOK_EVERY_MS = 500
const SAME_LINE_MS = 1_000
/** The first request of a cluster that has to make its streams and elect its leaders. */
const WARM_UP_MS_MAX = 60_000
const RECEIPTS_EVERY_MS = 100
/** As the compose file's gateways call it. */
const STORE = "dev"
const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash

export const startProcessRig: StartRig<Records> = async ({ shape, seed, requestsMax, upgradeFrom, onEvent }) => {
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
  const closing: Array<() => Promise<unknown>> = []
  /** What was opened last is closed first; one that fails does not keep the others open. */
  const stop = async () => {
    for (const close of closing.splice(0).toReversed()) await close().catch((error: unknown) => note({ node: "campaign", kind: "phase", text: `while stopping: ${String(error)}` }))
  }
  try {
    let load: Load | undefined
    const beforeGateways = async (world: ComposedWorld) => void (load = await loadOn(world, Math.min(requestsMax, HANDLES_MAX), (close) => void closing.push(close)))
    const cluster = await startComposedCluster({ shape, random, note, onClose: (close) => void closing.push(close), beforeGateways, upgradeFrom })
    if (load === undefined) throw new TypeError("a cluster without gateways carries no requests")
    const { world, chain, client } = load
    const { databases, gateways, kmsNodes } = cluster
    const leftOut = upgradeFrom === undefined ? [] : [...new Set([...servicesFor(shape).values()].flatMap(({ environment }) => unknownIn(upgradeFrom.build, environment)))]
    const raised: Array<RequestId> = []
    const raisedAtMs = new Map<RequestId, number>()
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
      differences: [...composedLines(shape), ...(upgradeFrom === undefined ? [] : upgradeLines(upgradeFrom, [...gateways.keys()], leftOut))],
      levers: processLevers({ ...cluster, chain, lanes: shape.lanes }),
      nowMs,
      pass: async (ms) => void (await pause(ms)),
      raise: async (count, options) => {
        const ids = await raise(count, options)
        raised.push(...ids)
        for (const id of ids) raisedAtMs.set(id, Date.now())
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
        const open = settled.open.map(({ id }) => id)
        if (open.length > 0) for (const text of await leftOver(databases.primary.address, open)) note({ node: "postgres", kind: "log", text })
        return settled
      },
      records: async () => {
        const logs = [...kmsNodes.values()].map(async ({ answerLog }, index) => (await logsOf(answerLog)).map((path) => ({ node: index + 1, path })))
        return recordsOf({ url: world.chainUrl, contracts: world.contracts }, databases.primary.address, (await Promise.all(logs)).flat())
      },
      raisedAtMs,
      ...(upgradeFrom === undefined
        ? {}
        : {
            builds: () => Object.fromEntries([...gateways].map(([name, { servedFrom }]) => [name, servedFrom])),
            buildOfLife: () => new Map([...gateways.values()].flatMap(({ buildOfLife }) => [...buildOfLife]))
          }),
      events: () => events,
      note,
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Load {
  readonly world: ComposedWorld
  readonly chain: Chain
  readonly client: BulkClient
}

/** Whoever asks, and the beat of the chain, which is ours from then on. */
const loadOn = async (world: ComposedWorld, handles: number, onClose: (close: () => Promise<void>) => void): Promise<Load> => {
  const { chainUrl, contracts, committee, storePath } = world
  const provider = new JsonRpcProvider(chainUrl, contracts.chainId, { staticNetwork: true, cacheTimeout: -1, batchStallTime: 0, pollingInterval: RECEIPTS_EVERY_MS })
  onClose(async () => provider.destroy())
  const client = await bulkClient({ contracts, committee, provider, store: { name: STORE, path: storePath } })
  await client.prepare(handles)
  const chain = await Chain.of(provider, client.account)
  onClose(() => chain.stop())
  return { world, chain, client }
}
