/** One KMS node without a transport: its decisions on a chain double, its answer log in memory, its curve work counted. */
import { join } from "node:path"
import { Effect, Exit, Layer, Scope } from "effect"
import { nodeDirectory, KEY_FILE } from "../../src/adapters/kms-node/deal-files.ts"
import { fileShareVaultLayer } from "../../src/adapters/kms-node/file-share-vault.layer.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { type AnswerEntry, AnswerLog } from "../../src/kms-node/answer-log.port.ts"
import type { BroughtBatch } from "../../src/kms-node/attest-results.ts"
import { type KmsNodeSettings, makeKmsNode } from "../../src/kms-node/kms-node.ts"
import { NodeChainView } from "../../src/kms-node/node-chain-view.port.ts"
import type { ShareVault } from "../../src/kms-node/share-vault.port.ts"
import type { Refusal } from "../../src/kms-node/refusal.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import type { View } from "./chain-world.ts"
import type { DealtCommittee } from "./kms-committee.ts"

/** Counts every use of a secret on the curve. */
const counting = (engine: Bls12381Engine) => {
  let secretOperations = 0
  const counted: Bls12381Engine = {
    ...engine,
    secretMultipleG1: (point, scalar) => {
      secretOperations += 1
      return engine.secretMultipleG1(point, scalar)
    },
    secretMultipleG2: (point, scalar) => {
      secretOperations += 1
      return engine.secretMultipleG2(point, scalar)
    }
  }
  return { counted, operations: () => secretOperations }
}

export const CALLER = "cert:gateway-1"

export const loneNode = async (dealt: DealtCommittee, view: View, id = 1, settings: Partial<KmsNodeSettings> = {}) => {
  const { counted, operations } = counting(dealt.engine)
  const entries: Array<AnswerEntry> = []
  const log = Layer.succeed(AnswerLog, { record: (entry) => Effect.sync(() => void entries.push(entry)) })
  const directory = nodeDirectory(dealt.directory, id)
  const vault = fileShareVaultLayer({ directory }).pipe(
    Layer.provide(localKeyEncryptionKeyLayer({ path: join(directory, KEY_FILE) }))
  )
  const scope = await Effect.runPromise(Scope.make())
  const context = await Effect.runPromise(
    Scope.provide(Layer.build(Layer.mergeAll(vault, log, Layer.succeed(NodeChainView, view))), scope)
  )
  const node = makeKmsNode({ engine: counted, version: "test", isProduction: false, ...settings })
  const run = <A, E>(work: Effect.Effect<A, E, ShareVault | NodeChainView | AnswerLog>) =>
    Effect.runPromise(work.pipe(Effect.provide(context)))
  return {
    entries,
    /** How often a secret was used on the curve so far. */
    operations,
    share: (request: DecryptionRequest, caller = CALLER) => run(node.share(request, caller)),
    refusedShare: (request: DecryptionRequest, caller = CALLER) =>
      run(Effect.flip(node.share(request, caller))) as Promise<Refusal>,
    attest: (batch: BroughtBatch, caller = CALLER) => run(node.attest(batch, caller)),
    refusedAttest: (batch: BroughtBatch, caller = CALLER) => run(Effect.flip(node.attest(batch, caller))) as Promise<Refusal>,
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export type LoneNode = Awaited<ReturnType<typeof loneNode>>
