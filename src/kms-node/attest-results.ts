/**
 * A node's part of an attestation: its word that every result under one root is right. It asks the chain about each request,
 * recomputes each result, builds the root itself, and only then signs. One wrong result and nothing is signed; the refusal names
 * it.
 */
import { Clock, Effect } from "effect"
import { fromHex, type Hex, toHex } from "../domain/hex.ts"
import { RESPONSES_PER_ATTESTATION_MAX } from "../domain/limits.ts"
import { attestationDigest, responseLeaf, resultHashOf } from "../domain/response.ts"
import { makeAttestationShare } from "../threshold/attest.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { merkleRoot } from "../threshold/merkle.ts"
import { AnswerLog } from "./answer-log.port.ts"
import { checkResults, type ClaimedResult } from "./check-result.ts"
import type { epochKeys } from "./epoch-keys.ts"
import { NodeChainView } from "./node-chain-view.port.ts"
import { permit } from "./permit.ts"
import { refuse } from "./refusal.ts"
import { ShareVault } from "./share-vault.port.ts"

export type BroughtResult = Omit<ClaimedResult, "requestId" | "digests">

export interface BroughtBatch {
  readonly epoch: number
  /** Unix seconds. */
  readonly expiry: number
  /** In the order of the Merkle leaves. */
  readonly results: ReadonlyArray<BroughtResult>
}

export interface AttestAnswer {
  readonly root: Hex
  readonly nodeId: number
  /** 48 bytes (BLS) or 65 bytes (identity), as the epoch's verifier demands. */
  readonly part: Uint8Array
}

/** What is wrong with a batch as a whole; undefined when nothing is. */
const batchFault = ({ epoch, expiry, results }: BroughtBatch): string | undefined => {
  if (results.length === 0 || results.length > RESPONSES_PER_ATTESTATION_MAX)
    return `a batch has 1..${RESPONSES_PER_ATTESTATION_MAX} results`
  if (results.some(({ request }) => request.epoch !== epoch)) return "a batch is of one epoch"
  const latest = Math.max(...results.map(({ request }) => request.deadline))
  if (!Number.isSafeInteger(expiry) || expiry <= 0 || expiry > latest) return "the expiry lies after every deadline"
  return undefined
}

export const attestResults = (engine: Bls12381Engine, keysOf: ReturnType<typeof epochKeys>) =>
  Effect.fnUntraced(function* (batch: BroughtBatch, caller: string) {
    const fault = batchFault(batch)
    if (fault !== undefined) return yield* refuse("malformed", fault)
    const [chain, vault, log] = [yield* NodeChainView, yield* ShareVault, yield* AnswerLog]
    const permitted = yield* Effect.forEach(batch.results, ({ request }) => permit(request), { concurrency: "unbounded" })
    const claimed = batch.results.map((brought, index) => ({ ...brought, ...permitted[index]! }))
    const requestIds = permitted.map(({ requestId }) => requestId)
    if (new Set(requestIds).size !== requestIds.length) return yield* refuse("malformed", "a request stands twice")
    const keys = yield* keysOf(batch.epoch)
    yield* checkResults({ engine, key: keys.decryption, registry: chain.registry }, claimed)

    const leaves = claimed.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))
    const root = toHex(merkleRoot(leaves))
    const digest = attestationDigest(chain, { root, count: leaves.length, epoch: batch.epoch, expiry: batch.expiry })
    const part =
      keys.scheme === "bls" ? makeAttestationShare(engine, keys.secrets.attestation, fromHex(digest)) : vault.signDigest(digest)
    yield* log.record({ type: "attest", atMs: yield* Clock.currentTimeMillis, caller, epoch: batch.epoch, root, requestIds })
    return { root, nodeId: vault.nodeId, part } satisfies AttestAnswer
  })
