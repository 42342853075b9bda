/** What a gateway node is made of, as plain values. Made from settings (gateway-from-settings.ts) or by the development world (dev.ts). */
import type { Effect } from "effect"
import type { Wallet } from "ethers"
import type { LaneHistoryOptions } from "../actors/lane-history.actor.ts"
import type { RescanOptions } from "../actors/rescan.actor.ts"
import type { SpendBudget } from "../actors/runtime/lane-health.ts"
import type { Contracts } from "../src/adapters/ethereum/addresses.ts"
import type { ShareNodesOptions } from "../src/adapters/kms-node/share-nodes.layer.ts"
import type { NatsSettings } from "../src/adapters/nats/nats-settings.ts"
import type { StoreOptions } from "../src/adapters/object-store/ciphertext-store.layer.ts"
import type { LogOptions } from "../src/adapters/pino/log.ts"
import type { DatabaseSettings } from "../src/adapters/postgres/pool.ts"
import type { EngineName } from "../src/adapters/worker-threads/engine-choice.ts"
import type { Role } from "../src/domain/cluster.ts"
import type { FinalityPolicy } from "../src/journey/2-acl-checked/access-list.port.ts"
import type { FactReached } from "../src/telemetry/telemetry.port.ts"
import type { PoolPolicy } from "./rpc-endpoints.ts"

export interface GatewayOptions {
  /** Name and boot nonce: two lives of one node are two workers. */
  readonly worker: string
  readonly roles: ReadonlySet<Role>
  readonly database: DatabaseSettings
  readonly bus: "embedded" | NatsSettings
  readonly keyEncryptionKeyFile: string
  readonly workConcurrency: number
  readonly chain: {
    /** Several, separated by commas: the preferred one first. */
    readonly rpcUrl: string
    /** Announces new blocks. */
    readonly wsUrl?: string | undefined
    /** One answer is enough when missing. */
    readonly rpcPolicy?: PoolPolicy
    readonly contracts: Contracts
    readonly aclFinality: FinalityPolicy
    readonly resultFinality: FinalityPolicy
    readonly pollMs: number
    /** Final blocks are not read again when missing. */
    readonly rescan?: Pick<RescanOptions, "blocks" | "everyMs">
    readonly lanes: ReadonlyArray<Wallet>
    /** Wei for each unit of gas that a first attempt pays at most; a cautious default when missing. */
    readonly feeMax?: bigint
    /** A cautious default when missing. */
    readonly budget?: SpendBudget
    /** Every ten minutes what is a month old is forgotten when missing. */
    readonly laneHistory?: Omit<LaneHistoryOptions, "owner">
  }
  readonly kms: ShareNodesOptions
  readonly stores: ReadonlyArray<StoreOptions>
  readonly cache: { readonly directory: string; readonly bytesMax: number }
  readonly engine: { readonly name: EngineName; readonly workers: number }
  readonly http: { readonly host: string; readonly port: number } | undefined
  readonly log: Pick<LogOptions, "level" | "to">
  /** What to do when an operator orders this life to drain; nothing is done when it is missing. */
  readonly obeyDrain?: Effect.Effect<void>
  /** Listens to facts as they are reached (the terminal view, tests). */
  readonly onFact?: (fact: FactReached) => void
}
