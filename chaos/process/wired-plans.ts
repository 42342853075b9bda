/** A plan for each service of the rig in which names lead through links: gateways to everything that they talk to, NATS servers to each other,
 * and everybody to a KMS node through the one door that the committee's record names. */
import type { Plan } from "../../tools/cluster/as-processes.ts"
import { addressesOf, anyNetwork, planOf, withAddresses } from "../../tools/cluster/as-processes.ts"
import type { Service } from "../../tools/cluster/compose-file.ts"
import { ROOT, volumesIn } from "../../tools/cluster/local-cluster.ts"
import type { ClusterShape, MessageFault, Target } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"
import { targetOf } from "./composed-services.ts"
import { messageFilter } from "./nats-frames.ts"
import { serveObjectStore, type ObjectStoreServer } from "./object-store.ts"
import { startRpcEndpoint, type RpcEndpoint } from "./rpc-endpoint.ts"
import { Wiring, type Link, type Upstream } from "./wiring.ts"

export interface WiredPlans {
  readonly plans: ReadonlyMap<string, Plan>
  readonly links: ReadonlyArray<Link>
  readonly chainUrl: string
  readonly store: ObjectStoreServer
  readonly endpoints: ReadonlyMap<Target, RpcEndpoint>
  /** Of a gateway: what happens to messages on its links. Whoever adds one hurts it. */
  readonly messageFaults: ReadonlyMap<string, Array<MessageFault>>
  /** Of a gateway: it stands in a file, which would name everybody's database otherwise. */
  readonly databaseUrls: ReadonlyMap<string, string>
}

export interface WireOptions {
  readonly shape: ClusterShape
  readonly services: ReadonlyMap<string, Service>
  readonly directory: string
  readonly storePath: string
  readonly random: SeededRandom
  /** What is opened; the last is closed first. */
  readonly onClose: (close: () => Promise<unknown>) => void
}

export const wirePlans = async ({ shape, services, directory, storePath, random, onClose }: WireOptions): Promise<WiredPlans> => {
  const network = anyNetwork()
  const addresses = addressesOf(services, network)
  const chainUrl = `http://${addresses.get("chain")}:${services.get("chain")?.ports[0]}`
  const store = await serveObjectStore(storePath, random.fork("store"))
  onClose(() => store.close())
  const own = new Map<string, Upstream>([["store", { host: "127.0.0.1", port: store.port }]])
  const endpoints = new Map<Target, RpcEndpoint>()
  for (let number = 1; number <= shape.rpcEndpoints; number++) {
    const endpoint = await startRpcEndpoint(chainUrl, random.fork(`r${number}`))
    onClose(() => endpoint.close())
    endpoints.set(`r${number}`, endpoint)
    own.set(`rpc-${number}`, { host: "127.0.0.1", port: endpoint.port })
  }
  const wiring = new Wiring({ network, addresses, own })
  onClose(() => wiring.close())

  const { DATABASE_URL: databaseUrl = "", KMS_ENDPOINTS: kmsEndpoints = "" } = services.get("setup")?.environment ?? {}
  const messageFaults = new Map<string, Array<MessageFault>>()
  const databaseUrls = new Map<string, string>()
  const viewOf = async ({ name, command, environment }: Service): Promise<ReadonlyMap<string, string>> => {
    const target = targetOf(name)
    const texts = [...command, ...Object.values(environment)]
    if (name.startsWith("nats-")) return wiring.viewOf(name, texts, target)
    if (name === "setup") return wiring.viewOf(name, [kmsEndpoints], "gateways")
    if (!name.startsWith("gateway-")) return addresses
    const faults: Array<MessageFault> = []
    const chance = random.fork(target)
    const view = await wiring.viewOf(name, [...texts, databaseUrl], target, (to) => (/^n\d/.test(to) ? () => messageFilter(() => faults.at(-1), chance) : undefined))
    messageFaults.set(name, faults)
    databaseUrls.set(name, withAddresses(databaseUrl, view, ""))
    return view
  }
  const place = { root: ROOT, volumes: volumesIn(directory) }
  const plans = new Map<string, Plan>()
  for (const service of services.values()) plans.set(service.name, planOf(service, await viewOf(service), place))
  return { plans, links: wiring.links, chainUrl, store, endpoints, messageFaults, databaseUrls }
}
