/** A KMS node process: one committee member, with its own key files, its own chain connection and its own answer log. */
import { Effect, Layer } from "effect"
import type { Contracts } from "../src/adapters/ethereum/addresses.ts"
import { nodeChainViewLayer } from "../src/adapters/ethereum/node-chain-view.layer.ts"
import { makeEndpointPool } from "../src/adapters/ethereum/endpoint-pool.ts"
import { fileAnswerLogLayer } from "../src/adapters/kms-node/answer-log.layer.ts"
import { fileShareVaultLayer } from "../src/adapters/kms-node/file-share-vault.layer.ts"
import type { Security } from "../src/adapters/kms-node/security.ts"
import { startKmsNode } from "../src/adapters/kms-node/server.ts"
import { guardedKeyEncryptionKeyLayer } from "../src/adapters/key-providers/guarded-key-encryption-key.layer.ts"
import { localKeyEncryptionKeyLayer } from "../src/adapters/local-keys/key-encryption-key.layer.ts"
import { startEngine, type EngineName } from "../src/adapters/worker-threads/engine-choice.ts"
import type { FinalityPolicy } from "../src/journey/2-acl-checked/access-list.port.ts"
import { NODE_FAULTS, type NodeFault } from "../src/kms-node/fault.ts"
import { finalityPolicy, hostAndPort, kmsSecurity, Problems, readContracts } from "./gateway-from-settings.ts"
import { faultOfEndpoints, ONE_IS_ENOUGH, poolPolicy, urlsIn, type PoolPolicy } from "./rpc-endpoints.ts"
import { isRejected, readSettings, type SettingName, type SettingsRejected } from "./settings.ts"
import { VERSION } from "./version.ts"

export interface KmsNodeProcess {
  readonly directory: string
  readonly keyFile: string
  readonly answerLog: string
  readonly host: string
  readonly port: number
  readonly security: Security
  readonly rpcUrl: string
  readonly rpcPolicy?: PoolPolicy
  readonly contracts: Contracts
  readonly finality: FinalityPolicy
  readonly engine: EngineName
  readonly isProduction: boolean
  readonly fault: NodeFault | undefined
}

const NEEDS: ReadonlyArray<SettingName> = [
  "PORTCULLIS_KMS_DIR",
  "PORTCULLIS_KMS_KEY_FILE",
  "PORTCULLIS_KMS_ANSWER_LOG",
  "PORTCULLIS_RPC_URL",
  "PORTCULLIS_DEPLOYMENT_FILE"
]

export const kmsNodeFromSettings = (
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
  fault: string | undefined
): KmsNodeProcess | SettingsRejected => {
  const settings = readSettings(environment, file, NEEDS)
  if (isRejected(settings)) return settings
  const problems = new Problems()
  const [host, port] = hostAndPort(settings.PORTCULLIS_KMS_LISTEN ?? "")
  const isProduction = settings.PORTCULLIS_PRODUCTION === "yes"
  if (fault !== undefined && !(NODE_FAULTS as ReadonlyArray<string>).includes(fault)) {
    problems.found.push(`--fault is one of ${NODE_FAULTS.join(", ")}`)
  }
  const endpoints = faultOfEndpoints(settings)
  if (endpoints !== undefined) problems.found.push(endpoints)
  const node: KmsNodeProcess = {
    directory: settings.PORTCULLIS_KMS_DIR ?? "",
    keyFile: settings.PORTCULLIS_KMS_KEY_FILE ?? "",
    answerLog: settings.PORTCULLIS_KMS_ANSWER_LOG ?? "",
    host,
    port,
    security: kmsSecurity(problems, settings),
    rpcUrl: settings.PORTCULLIS_RPC_URL ?? "",
    rpcPolicy: poolPolicy(settings),
    contracts: readContracts(problems, settings.PORTCULLIS_DEPLOYMENT_FILE ?? ""),
    finality: finalityPolicy(settings.PORTCULLIS_ACL_FINALITY ?? "finalized"),
    engine: settings.PORTCULLIS_ENGINE ?? "mcl",
    isProduction,
    fault: fault as NodeFault | undefined
  }
  return problems.found.length > 0 ? { _tag: "SettingsRejected", problems: problems.found } : node
}

/** Serves until the scope closes. */
export const runKmsNode = Effect.fnUntraced(function* (node: KmsNodeProcess) {
  const vault = fileShareVaultLayer({ directory: node.directory }).pipe(
    Layer.provide(guardedKeyEncryptionKeyLayer.pipe(Layer.provide(localKeyEncryptionKeyLayer({ path: node.keyFile }))))
  )
  const chainView = Layer.unwrap(
    Effect.map(makeEndpointPool(urlsIn(node.rpcUrl), node.contracts.chainId, node.rpcPolicy ?? ONE_IS_ENOUGH), ({ rpc }) =>
      nodeChainViewLayer(rpc, node.contracts, node.finality)
    )
  )
  const context = yield* Layer.build(Layer.mergeAll(vault, chainView, fileAnswerLogLayer({ path: node.answerLog })))
  const engine = yield* Effect.promise(() => startEngine(node.engine))
  return yield* startKmsNode({
    engine,
    version: VERSION,
    isProduction: node.isProduction,
    host: node.host,
    port: node.port,
    security: node.security,
    ...(node.fault === undefined ? {} : { fault: node.fault })
  }).pipe(Effect.provide(context))
})
