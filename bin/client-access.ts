/** The client library as commands use it: chain, gateway contract, signer and stores from options, or from settings where an option is missing. */
import { Effect, type Scope } from "effect"
import type { Wallet } from "ethers"
import { makeRpc, type Rpc } from "../src/adapters/ethereum/rpc.ts"
import type { Contracts } from "../src/adapters/ethereum/addresses.ts"
import { ciphertextStoreLayer, faultOfStore, type StoreOptions } from "../src/adapters/object-store/ciphertext-store.layer.ts"
import { connect, type PortcullisClient } from "../src/client/portcullis-client.ts"
import { findDeployment, type Deployment } from "../src/client/deployment.ts"
import { parseHex } from "../src/domain/hex.ts"
import { Problems, readContracts, storesOf } from "./gateway-from-settings.ts"
import { readWallet } from "./key-file.ts"
import { attempt, type CommandFlags, usage, type UsageRejected } from "./run-command.ts"
import { preferredUrl } from "./rpc-endpoints.ts"
import { isRejected, readSettings, type Settings } from "./settings.ts"

export interface ChainFlags extends CommandFlags {
  readonly gateway?: string
  readonly rpc?: string
}

export interface SigningFlags extends ChainFlags {
  readonly keyFile?: string
}

export interface Access {
  readonly client: PortcullisClient
  /** For questions that the library's methods do not ask. */
  readonly deployment: Deployment
  readonly rpc: Rpc
  /** Undefined without a key file: read-only. */
  readonly wallet: Wallet | undefined
  readonly settings: Settings
  /** Nothing of interest happened on this chain before. */
  readonly startBlock: number
}

/** A transaction is looked for this often. */
const LOOK_EVERY_MS = 250

/** What a settings file or the environment gives to a command; `needed` as in `readSettings`. */
export const settingsOf = (flags: CommandFlags, needed: Parameters<typeof readSettings>[2] = []): Effect.Effect<Settings, UsageRejected> =>
  Effect.suspend(() => {
    const settings = readSettings(process.env, flags.settings, needed)
    return isRejected(settings) ? Effect.fail(usage(...settings.problems)) : Effect.succeed(settings)
  })

/** With a signer where a key file is given. Fails with `UsageRejected`, `ChainUnavailable` or the errors of the client library. */
export const openClient = Effect.fnUntraced(function* (flags: SigningFlags): Effect.fn.Return<Access, unknown, Scope.Scope> {
  const settings = yield* settingsOf(flags)
  const { rpcUrl, gateway, contracts } = yield* whereOf(flags, settings)
  const rpc = yield* rpcAt(rpcUrl)
  if (contracts !== undefined && contracts.chainId !== rpc.chainId) {
    return yield* usage(`the endpoint speaks for chain ${rpc.chainId}, the deployment file is about chain ${contracts.chainId}`)
  }
  rpc.provider.pollingInterval = LOOK_EVERY_MS
  const wallet = yield* walletOf(flags, settings)
  const signer = wallet?.connect(rpc.provider)
  const client = yield* attempt(() => connect({ gateway, ...(signer === undefined ? { provider: rpc.provider } : { signer }) }))
  const deployment = yield* attempt(() => findDeployment(gateway, rpc.provider, signer))
  return { client, deployment, rpc, wallet, settings, startBlock: contracts?.startBlock ?? 0 }
})

export const withWallet = (access: Access): Effect.Effect<Wallet, UsageRejected> =>
  access.wallet === undefined
    ? Effect.fail(usage("a transaction needs an account: give --key-file, or PORTCULLIS_ACCOUNT_KEY_FILE"))
    : Effect.succeed(access.wallet)

/** The endpoint is asked for its chain first: a provider that cannot find out would go on asking for ever. */
export const rpcAt = Effect.fnUntraced(function* (url: string) {
  const unknown = yield* makeRpc(url, 1n)
  const chainId = BigInt(String(yield* unknown.send("eth_chainId", [])))
  return yield* makeRpc(url, chainId)
})

export const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

const whereOf = (flags: ChainFlags, settings: Settings): Effect.Effect<Where, UsageRejected> => {
  const problems = new Problems()
  const file = settings.PORTCULLIS_DEPLOYMENT_FILE
  const contracts = file === undefined ? undefined : readContracts(problems, file)
  const rpcUrl = flags.rpc ?? preferredUrl(settings)
  const gateway = flags.gateway ?? contracts?.decryptionGateway
  if (rpcUrl === undefined) problems.found.push("which chain? give --rpc <url>, or PORTCULLIS_RPC_URL")
  else if (!isHttpUrl(rpcUrl)) problems.found.push("--rpc must be an http or https URL")
  if (gateway === undefined && file === undefined) problems.found.push("which gateway? give --gateway <address>, or PORTCULLIS_DEPLOYMENT_FILE")
  else if (gateway !== undefined && parseHex(gateway, 20) === undefined) problems.found.push("--gateway must be an address: 0x and 40 hex digits")
  // A deployment file that another gateway is named beside says nothing about that gateway.
  const own = contracts !== undefined && gateway?.toLowerCase() === contracts.decryptionGateway ? contracts : undefined
  return problems.found.length > 0 || rpcUrl === undefined || gateway === undefined
    ? Effect.fail(usage(...problems.found))
    : Effect.succeed({ rpcUrl, gateway, contracts: own })
}

interface Where {
  readonly rpcUrl: string
  readonly gateway: string
  readonly contracts: Contracts | undefined
}

const walletOf = (flags: SigningFlags, settings: Settings): Effect.Effect<Wallet | undefined, unknown> => {
  const path = flags.keyFile ?? settings.PORTCULLIS_ACCOUNT_KEY_FILE
  if (path === undefined) return Effect.succeed(undefined)
  return attempt(() => readWallet(flags.keyFile === undefined ? "PORTCULLIS_ACCOUNT_KEY_FILE" : "--key-file", path))
}

/** Stores from `--store`, or those of the settings. */
export const storesFrom = (given: ReadonlyArray<string> | undefined, settings: Settings): Effect.Effect<ReadonlyArray<StoreOptions>, UsageRejected> => {
  const text = given?.join(",") ?? settings.PORTCULLIS_STORES ?? ""
  if (text === "") return Effect.fail(usage("where are ciphertexts kept? give --store <name>=<directory or URL>, or PORTCULLIS_STORES"))
  const stores = storesOf(text)
  const faults = stores.flatMap((store) => faultOfStore(store) ?? [])
  const doubles = new Set(stores.map(({ name }) => name)).size < stores.length ? ["two stores have one name"] : []
  return faults.length + doubles.length > 0 ? Effect.fail(usage(...faults, ...doubles)) : Effect.succeed(stores)
}

export const storeLayerOf = (stores: ReadonlyArray<StoreOptions>) => ciphertextStoreLayer(stores)
