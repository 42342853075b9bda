/** A committee of real KMS nodes for tests: dealt files on disk, real gRPC servers on free ports, any chain view behind them. */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Layer, Scope } from "effect"
import { type DevAuthority, devAuthority } from "../../src/adapters/dev-certificates/dev-certificates.ts"
import { fileAnswerLogLayer } from "../../src/adapters/kms-node/answer-log.layer.ts"
import { dealFiles, KEY_FILE, nodeDirectory } from "../../src/adapters/kms-node/deal-files.ts"
import { fileShareVaultLayer } from "../../src/adapters/kms-node/file-share-vault.layer.ts"
import type { Security } from "../../src/adapters/kms-node/security.ts"
import { type KmsNodeHandle, type KmsNodeOptions, startKmsNode } from "../../src/adapters/kms-node/server.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import type { AttestationScheme, Committee, CommitteeNode, NodeId } from "../../src/domain/committee.ts"
import type { AnswerEntry } from "../../src/kms-node/answer-log.port.ts"
import type { NodeFault } from "../../src/kms-node/fault.ts"
import type { NodeChainView } from "../../src/kms-node/node-chain-view.port.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { type LogSink, logSink } from "./log-sink.ts"

export interface DealtCommittee {
  readonly engine: Bls12381Engine
  /** Temporary; removed by `remove`. */
  readonly directory: string
  /** With placeholders for endpoints. */
  readonly committee: Committee
  readonly remove: () => Promise<void>
}

export const dealCommittee = async (
  of: { readonly threshold?: number; readonly nodes?: number; readonly scheme?: AttestationScheme } = {}
): Promise<DealtCommittee> => {
  const engine = await startEngine("mcl")
  const directory = await mkdtemp(join(tmpdir(), "portcullis-kms-"))
  const committee = await Effect.runPromise(
    dealFiles({
      engine,
      directory: join(directory, "dealt"),
      epoch: 1,
      threshold: of.threshold ?? 2,
      nodes: of.nodes ?? 3,
      scheme: of.scheme ?? "bls",
      endpoint: (id) => `kms-${id}.invalid:7443`,
      keyLayer: (path) => localKeyEncryptionKeyLayer({ path })
    })
  )
  return { engine, directory: join(directory, "dealt"), committee, remove: () => rm(directory, { recursive: true }) }
}

export interface CommitteeOptions extends Partial<Pick<KmsNodeOptions, "host" | "limits" | "answerMsMax" | "drainMsMax">> {
  readonly chainView: Layer.Layer<NodeChainView>
  readonly transport?: "mutual-tls" | "insecure"
  readonly fault?: (id: NodeId) => NodeFault | undefined
  /** Where the nodes' logs go; nowhere unless it is said. */
  readonly logs?: LogSink
}

export interface KmsCommittee {
  /** With the endpoints under which the nodes serve. */
  readonly committee: Committee
  readonly node: (id: NodeId) => CommitteeNode
  readonly authority: DevAuthority
  /** For a gateway of this name. */
  readonly gatewaySecurity: (name?: string) => Security
  readonly answerLog: (id: NodeId) => Promise<ReadonlyArray<AnswerEntry>>
  readonly stopNode: (id: NodeId) => Promise<void>
  readonly stop: () => Promise<void>
}

/** The name in a node's certificate: a gateway that asks under it cannot end up at another node. */
export const serverNameOf = ({ id }: Pick<CommitteeNode, "id">): string => `kms-${id}.portcullis.test`

const answerLogPath = (dealt: DealtCommittee, id: NodeId) => join(nodeDirectory(dealt.directory, id), "answers.jsonl")

/** Everything below one node, as `bin` would put it together. */
const nodeLayers = (dealt: DealtCommittee, id: NodeId, chainView: Layer.Layer<NodeChainView>) => {
  const directory = nodeDirectory(dealt.directory, id)
  const key = localKeyEncryptionKeyLayer({ path: join(directory, KEY_FILE) })
  const vault = fileShareVaultLayer({ directory }).pipe(Layer.provide(key))
  return Layer.mergeAll(vault, fileAnswerLogLayer({ path: answerLogPath(dealt, id) }), chainView)
}

export const startCommittee = async (dealt: DealtCommittee, options: CommitteeOptions): Promise<KmsCommittee> => {
  const authority = devAuthority(Date.now())
  const isMutual = (options.transport ?? "mutual-tls") === "mutual-tls"
  const { chainView, fault: faultOf, transport: _, logs = logSink(), ...settings } = options
  const scopes = new Map<NodeId, Scope.Closeable>()

  const start = (id: NodeId): Effect.Effect<KmsNodeHandle, unknown, Scope.Scope> =>
    Effect.gen(function* () {
      const context = yield* Layer.build(nodeLayers(dealt, id, chainView))
      const fault = faultOf?.(id)
      return yield* startKmsNode({
        host: "127.0.0.1",
        ...settings,
        engine: dealt.engine,
        version: "test",
        isProduction: false,
        port: 0,
        security: isMutual
          ? { mutualTls: { authority: authority.authority, ...authority.server([serverNameOf({ id }), "127.0.0.1"]) } }
          : { insecure: true },
        ...(fault === undefined ? {} : { fault })
      }).pipe(Effect.provide(context))
    }).pipe(Effect.provide(logs.layer))

  const handles = await Promise.all(
    dealt.committee.nodes.map(async ({ id }) => {
      const scope = await Effect.runPromise(Scope.make())
      scopes.set(id, scope)
      return Effect.runPromise(Scope.provide(start(id), scope))
    })
  )
  const nodes = dealt.committee.nodes.map((node, index) => ({ ...node, endpoint: `127.0.0.1:${handles[index]!.port}` }))
  const stopNode = async (id: NodeId) => {
    const scope = scopes.get(id)
    scopes.delete(id)
    if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
  }
  return {
    committee: { ...dealt.committee, nodes },
    node: (id) => nodes[id - 1]!,
    authority,
    gatewaySecurity: (name = "gateway-1") =>
      isMutual ? { mutualTls: { authority: authority.authority, ...authority.client(name) } } : { insecure: true },
    answerLog: async (id) =>
      (await readFile(answerLogPath(dealt, id), "utf8"))
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as AnswerEntry),
    stopNode,
    stop: async () => {
      await Promise.all([...scopes.keys()].map(stopNode))
    }
  }
}
