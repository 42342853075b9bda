/** From settings to options: reads the files that settings name, and says everything that is wrong with them at once. */
import { randomBytes } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { Redacted } from "effect"
import { Wallet } from "ethers"
import { LANE_MEMORY } from "../actors/lane-history.actor.ts"
import type { SpendBudget } from "../actors/runtime/lane-health.ts"
import type { LaneMemory } from "../src/ledger/lane-ledger.port.ts"
import type { Contracts } from "../src/adapters/ethereum/addresses.ts"
import type { Security } from "../src/adapters/kms-node/security.ts"
import { NATS_DEFAULTS, type NatsSettings } from "../src/adapters/nats/nats-settings.ts"
import { faultOfStore, type StoreOptions } from "../src/adapters/object-store/ciphertext-store.layer.ts"
import type { Role } from "../src/domain/cluster.ts"
import { lower, parseHex } from "../src/domain/hex.ts"
import type { FinalityPolicy } from "../src/journey/2-acl-checked/access-list.port.ts"
import type { GatewayOptions } from "./gateway-options.ts"
import { faultOfEndpoints, poolPolicy } from "./rpc-endpoints.ts"
import { isRejected, readSettings, type SettingName, type Settings, type SettingsRejected } from "./settings.ts"

export const GATEWAY_NEEDS: ReadonlyArray<SettingName> = [
  "PORTCULLIS_DATABASE_URL_FILE",
  "PORTCULLIS_KEY_ENCRYPTION_KEY_FILE",
  "PORTCULLIS_RPC_URL",
  "PORTCULLIS_DEPLOYMENT_FILE",
  "PORTCULLIS_STORES",
  "PORTCULLIS_CACHE_DIR"
]

/** Collects problems instead of stopping at the first. */
export class Problems {
  readonly found: Array<string> = []

  try<A>(fallback: A, what: string, read: () => A): A {
    try {
      return read()
    } catch (error) {
      const code = (error as { readonly code?: unknown }).code
      this.found.push(typeof code === "string" ? `${what} (${code})` : what)
      return fallback
    }
  }
}

export const gatewayFromSettings = (
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
  roles: string | undefined
): GatewayOptions | SettingsRejected => {
  const overridden = roles === undefined ? environment : { ...environment, PORTCULLIS_ROLES: roles }
  const settings = readSettings(overridden, file, GATEWAY_NEEDS)
  if (isRejected(settings)) return settings
  const problems = new Problems()
  const chosen = new Set(settings.PORTCULLIS_ROLES?.split(",").map((role) => role.trim() as Role))
  const [httpHost, httpPort] = hostAndPort(settings.PORTCULLIS_HTTP_LISTEN ?? "")
  const options: GatewayOptions = {
    worker: `${settings.PORTCULLIS_NODE_NAME}-${randomBytes(3).toString("hex")}`,
    roles: chosen,
    database: {
      connection: { url: readText(problems, settings, "PORTCULLIS_DATABASE_URL_FILE") },
      applicationName: "portcullis"
    },
    bus: busOf(settings, problems),
    keyEncryptionKeyFile: settings.PORTCULLIS_KEY_ENCRYPTION_KEY_FILE ?? "",
    workConcurrency: settings.PORTCULLIS_WORK_CONCURRENCY ?? 8,
    chain: {
      rpcUrl: settings.PORTCULLIS_RPC_URL ?? "",
      wsUrl: settings.PORTCULLIS_RPC_WS_URL,
      rpcPolicy: poolPolicy(settings),
      contracts: readContracts(problems, settings.PORTCULLIS_DEPLOYMENT_FILE ?? ""),
      aclFinality: finalityPolicy(settings.PORTCULLIS_ACL_FINALITY ?? "finalized"),
      resultFinality: finalityPolicy(settings.PORTCULLIS_RESULT_FINALITY ?? "finalized"),
      pollMs: settings.PORTCULLIS_POLL_MS ?? 500,
      rescan: { blocks: settings.PORTCULLIS_RESCAN_BLOCKS ?? 256, everyMs: (settings.PORTCULLIS_RESCAN_SECONDS ?? 300) * 1_000 },
      feeMax: BigInt(settings.PORTCULLIS_FEE_GWEI_MAX ?? 500) * GWEI,
      budget: budgetOf(settings),
      laneHistory: { memory: memoryOf(settings) },
      lanes: chosen.has("sender") ? readLanes(problems, settings.PORTCULLIS_LANE_KEYS_FILE) : []
    },
    kms: { security: kmsSecurity(problems, settings) },
    stores: storesOf(settings.PORTCULLIS_STORES ?? ""),
    cache: { directory: settings.PORTCULLIS_CACHE_DIR ?? "", bytesMax: settings.PORTCULLIS_CACHE_BYTES_MAX ?? 0 },
    engine: { name: settings.PORTCULLIS_ENGINE ?? "mcl", workers: settings.PORTCULLIS_ENGINE_WORKERS ?? 2 },
    http: { host: httpHost, port: httpPort },
    log: { level: settings.PORTCULLIS_LOG_LEVEL ?? "info", to: "stdout" }
  }
  const endpoints = faultOfEndpoints(settings)
  if (endpoints !== undefined) problems.found.push(endpoints)
  for (const store of options.stores) {
    const fault = faultOfStore(store)
    if (fault !== undefined) problems.found.push(`PORTCULLIS_STORES: ${fault}`)
  }
  return problems.found.length > 0 ? { _tag: "SettingsRejected", problems: problems.found } : options
}

const GWEI = 10n ** 9n

export const budgetOf = (settings: Settings): SpendBudget => ({
  windowMs: (settings.PORTCULLIS_SPEND_WINDOW_MINUTES ?? 60) * 60_000,
  lane: BigInt(settings.PORTCULLIS_LANE_SPEND_GWEI_MAX ?? 0) * GWEI,
  requester: BigInt(settings.PORTCULLIS_REQUESTER_SPEND_GWEI_MAX ?? 0) * GWEI
})

/** What was spent must be known for as long as it counts. */
const memoryOf = (settings: Settings): LaneMemory => {
  const historyMs = Math.max((settings.PORTCULLIS_LANE_HISTORY_DAYS ?? 30) * 86_400_000, budgetOf(settings).windowMs)
  return { bytesMs: Math.min(LANE_MEMORY.bytesMs, historyMs), historyMs }
}

export const hostAndPort = (text: string): readonly [host: string, port: number] => {
  const at = text.lastIndexOf(":")
  return [text.slice(0, at).replace(/^\[|\]$/g, ""), Number(text.slice(at + 1))]
}

export const finalityPolicy = (text: string): FinalityPolicy => {
  if (text.startsWith("confirmations:")) return { type: "confirmations", blocks: Number(text.slice("confirmations:".length)) }
  return { type: text as "latest" | "safe" | "finalized" }
}

const readText = (problems: Problems, settings: Settings, name: SettingName): string =>
  problems.try("", `the file that ${name} names cannot be read`, () => readFileSync(String(settings[name]), "utf8").trim())

interface DeploymentFile {
  readonly chainId: string | number
  readonly startBlock: number
  readonly addresses: Readonly<Record<"decryptionGateway" | "accessList" | "ciphertextRegistry" | "committeeRegistry", string>>
}

export const readContracts = (problems: Problems, path: string): Contracts =>
  problems.try(
    {} as Contracts,
    "PORTCULLIS_DEPLOYMENT_FILE is not a deployment: {chainId, startBlock, addresses: {decryptionGateway, accessList, ciphertextRegistry, committeeRegistry}}",
    () => {
      const { chainId, startBlock, addresses } = JSON.parse(readFileSync(path, "utf8")) as DeploymentFile
      const address = (name: keyof DeploymentFile["addresses"]) => {
        if (parseHex(addresses[name], 20) === undefined) throw new TypeError("not an address")
        return lower(addresses[name])
      }
      return {
        chainId: BigInt(chainId),
        startBlock,
        decryptionGateway: address("decryptionGateway"),
        accessList: address("accessList"),
        ciphertextRegistry: address("ciphertextRegistry"),
        committeeRegistry: address("committeeRegistry")
      }
    }
  )

/** A key file that others can read is refused: whoever reads it can spend the account. */
export const readLanes = (problems: Problems, path: string | undefined): ReadonlyArray<Wallet> =>
  problems.try([], "PORTCULLIS_LANE_KEYS_FILE must name a file of mode 0600 with a 0x-hex private key in each line (role sender)", () => {
    if (path === undefined || (statSync(path).mode & 0o077) !== 0) throw new TypeError("readable by others")
    const keys = readFileSync(path, "utf8").split("\n").map((line) => line.trim()).filter((line) => line !== "")
    if (keys.length === 0) throw new TypeError("no key")
    const wallets = keys.map((key) => new Wallet(key))
    const twice = wallets.findIndex(({ address }, index) => wallets.findIndex((other) => other.address === address) < index)
    if (twice > 0) problems.found.push(`PORTCULLIS_LANE_KEYS_FILE has a key twice: take out number ${twice + 1}, for every line is a lane of its own`)
    return wallets
  })

/** For both ends of the channel: neither a production gateway nor a production node talks plain text. */
export const kmsSecurity = (problems: Problems, settings: Settings): Security => {
  if (settings.PORTCULLIS_KMS_INSECURE === "yes") {
    if (settings.PORTCULLIS_PRODUCTION === "yes") problems.found.push("PORTCULLIS_KMS_INSECURE cannot be `yes` together with PORTCULLIS_PRODUCTION")
    return { insecure: true }
  }
  const directory = settings.PORTCULLIS_KMS_TLS_DIR
  return problems.try<Security>({ insecure: true }, "PORTCULLIS_KMS_TLS_DIR must name a directory with ca.pem, cert.pem and key.pem", () => {
    if (directory === undefined) throw new TypeError("missing")
    const read = (name: string) => readFileSync(join(directory, name), "utf8")
    return { mutualTls: { authority: read("ca.pem"), certificate: read("cert.pem"), privateKey: read("key.pem") } }
  })
}

export const busOf = (settings: Settings, problems: Problems): "embedded" | NatsSettings => {
  if (settings.PORTCULLIS_BUS === undefined || settings.PORTCULLIS_BUS === "embedded") return "embedded"
  const credentials =
    settings.PORTCULLIS_NATS_CREDENTIALS_FILE === undefined
      ? NATS_DEFAULTS.credentials
      : { type: "creds" as const, contents: Redacted.make(readText(problems, settings, "PORTCULLIS_NATS_CREDENTIALS_FILE")) }
  return {
    ...NATS_DEFAULTS,
    name: settings.PORTCULLIS_NODE_NAME ?? NATS_DEFAULTS.name,
    servers: settings.PORTCULLIS_BUS.split(",").map((url) => url.trim()),
    replicas: Number(settings.PORTCULLIS_NATS_REPLICAS) as NatsSettings["replicas"],
    credentials
  }
}

export const storesOf = (text: string): ReadonlyArray<StoreOptions> =>
  text.split(",").map((entry): StoreOptions => {
    const at = entry.indexOf("=")
    const [name, where] = [entry.slice(0, at), entry.slice(at + 1)]
    return /^https?:\/\//.test(where) ? { name, kind: "http", baseUrl: where } : { name, kind: "directory", path: where }
  })
