/** The services of docker-compose.yml as the rig's processes: started in the order of the file's dependencies, held to the file's health checks,
 * each under the hand of whoever injects its faults. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { Problems, readContracts } from "../../bin/gateway-from-settings.ts"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { COMMITTEE_FILE } from "../../src/adapters/kms-node/deal-files.ts"
import type { Committee } from "../../src/domain/committee.ts"
import type { Plan } from "../../tools/cluster/as-processes.ts"
import { untilHealthy } from "../../tools/cluster/health.ts"
import { LocalCluster, volumesIn } from "../../tools/cluster/local-cluster.ts"
import { postgresSettings } from "../../tools/cluster/postgres-service.ts"
import { startInOrder } from "../../tools/cluster/start-order.ts"
import type { UpgradeFrom } from "../builds.ts"
import type { ClusterShape, RigEvent, Target } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"
import { NATS_CONFIG } from "./compose-overlay.ts"
import { servicesFor, targetOf } from "./composed-services.ts"
import { Databases } from "./databases.ts"
import { Gateway } from "./gateways.ts"
import { KmsNode } from "./kms-nodes.ts"
import { NatsCluster, natsCommand } from "./nats-cluster.ts"
import { SmallDisk } from "./small-disk.ts"
import { wirePlans, type WiredPlans } from "./wired-plans.ts"

/** Of a full disk: what PostgreSQL needs to begin with, and a little. */
const POSTGRES_DISK_MIB = 320
const NATS_DISK_MIB = 24
const CACHE_DISK_MIB = 2
/** Folders above a server's own: another account may pass through and see nothing. */
const PASS_THROUGH = 0o711

export interface ComposedClusterOptions {
  readonly shape: ClusterShape
  readonly random: SeededRandom
  readonly note: (event: Omit<RigEvent, "atMs">) => void
  /** What is opened; the last is closed first. */
  readonly onClose: (close: () => Promise<unknown>) => void
  /** Done before the first gateway starts: what keeps this process busy would hold up their links. */
  readonly beforeGateways: (world: ComposedWorld) => Promise<void>
  readonly upgradeFrom?: UpgradeFrom | undefined
}

/** What the file's `setup` has made. */
export interface ComposedWorld {
  readonly chainUrl: string
  readonly contracts: Contracts
  readonly committee: Committee
  readonly storePath: string
}

export interface ComposedCluster extends Omit<WiredPlans, "plans" | "messageFaults" | "databaseUrls"> {
  readonly databases: Databases
  readonly nats: NatsCluster
  readonly gateways: ReadonlyMap<Target, Gateway>
  readonly kmsNodes: ReadonlyMap<Target, KmsNode>
  readonly disks: ReadonlyMap<Target, SmallDisk>
}

export const startComposedCluster = async ({ shape, random, note, onClose, beforeGateways, upgradeFrom }: ComposedClusterOptions): Promise<ComposedCluster> => {
  const services = servicesFor(shape)
  const directory = await mkdtemp(join(tmpdir(), "portcullis-chaos-"))
  onClose(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, PASS_THROUGH)
  await mkdir(volumesIn(directory), { mode: PASS_THROUGH })
  const world = join(volumesIn(directory), "world")
  const storePath = join(world, "store")
  const wired = await wirePlans({ shape, services, directory, storePath, random, onClose })
  const { plans, messageFaults, databaseUrls } = wired
  for (const { directories } of plans.values()) for (const folder of directories) await mkdir(folder, { recursive: true, mode: 0o700 })
  const ofFamily = (family: string) => [...plans].filter(([name]) => name.startsWith(`${family}-`)).map(([name, plan]) => ({ name, plan, target: targetOf(name) }))
  const nats = new NatsCluster(new Map(ofFamily("nats").map(({ target, plan }) => [target, natsCommand(plan)])), directory)
  const kmsNodes = new Map(ofFamily("kms").map(({ target, plan }) => [target, new KmsNode(target, plan, note, upgradeFrom?.build)]))
  const upgradeOf = (index: number) => upgradeFrom && { ...upgradeFrom, isKept: index >= shape.gateways - upgradeFrom.kept }
  const gateways = new Map(
    ofFamily("gateway").map(({ name, target, plan }, index) => {
      const upgrade = upgradeOf(index)
      return [target, new Gateway({ name: target, plan, messageFaults: messageFaults.get(name) ?? [], note, ...(upgrade && { upgrade }) })]
    })
  )
  const plainly = new LocalCluster({ directory, plans })
  onClose(() => plainly.down())
  const scope = await Effect.runPromise(Scope.make())
  let databases: Databases | undefined
  onClose(async () => databases?.removeFolders())
  onClose(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const disks = new Map<Target, SmallDisk>()
  const smallDisk = async (target: Target, folder: string, mebibytes: number) => {
    if (!shape.hasSmallDisks) return
    const disk = await SmallDisk.over(folder, mebibytes)
    disks.set(target, disk)
    // Whose folder is removed must find a folder and not a mount; what still runs keeps its own.
    onClose(() => disk.unmount())
  }
  const laneKeys = () => Promise.all(Array.from({ length: shape.lanes }, async (_, index) => (await readFile(join(world, "gateway", `lane-key-${index + 1}`), "utf8")).trim()))

  let prepared: Promise<void> | undefined
  const startPostgres = async ({ directories: [folder = ""], words }: Plan) => {
    await smallDisk("postgres", folder, POSTGRES_DISK_MIB)
    await plainly.start("postgres")
    databases = new Databases(plainly.postgres, folder, postgresSettings(words), scope)
    if (shape.hasStandby) await databases.prepareStandby()
  }
  const start = async (name: string): Promise<void> => {
    const target = targetOf(name)
    const plan = plans.get(name)!
    const gateway = gateways.get(target)
    const node = kmsNodes.get(target)
    if (gateway !== undefined) {
      await (prepared ??= worldIn(world, wired.chainUrl, storePath).then(beforeGateways))
      await smallDisk(target, gateway.cacheDirectory, CACHE_DISK_MIB)
      await gateway.prepare(databaseUrls.get(name) ?? "", await laneKeys())
      onClose(() => gateway.dispose())
      await gateway.start()
    } else if (node !== undefined) {
      onClose(() => node.kill())
      await node.start()
    } else if (nats.servers.has(target)) {
      const server = nats.server(target)
      await smallDisk(target, server.storeFolder, NATS_DISK_MIB)
      const config = plan.words[plan.words.indexOf("--config") + 1]
      if (shape.hasSmallDisks && config !== undefined) await writeFile(config, NATS_CONFIG)
      onClose(() => server.dispose())
      return server.start()
    } else return name === "postgres" ? startPostgres(plan) : plainly.start(name)
    await untilHealthy(plan)
  }
  await startInOrder(services, start)

  if (databases === undefined) throw new TypeError("docker-compose.yml has no PostgreSQL")
  return { ...wired, databases, nats, gateways, kmsNodes, disks }
}

const worldIn = async (world: string, chainUrl: string, storePath: string): Promise<ComposedWorld> => {
  const problems = new Problems()
  const contracts = readContracts(problems, join(world, "gateway", "deployment.json"))
  if (problems.found.length > 0) throw new TypeError(problems.found.join("; "))
  const { committee } = JSON.parse(await readFile(join(world, "committee", COMMITTEE_FILE), "utf8")) as { readonly committee: Committee }
  return { chainUrl, contracts, committee, storePath }
}
