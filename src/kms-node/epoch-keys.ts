/**
 * What a node uses of one epoch: its secrets, and the chain's public record of the same committee. They are compared before the
 * first use, so a share of another committee, a swapped file or a lying chain endpoint is noticed before anything is signed with
 * it.
 */
import { Effect } from "effect"
import { timingSafeEqual } from "node:crypto"
import type { AttestationScheme, Committee } from "../domain/committee.ts"
import { keccakText } from "../domain/abi-words.ts"
import { fromHex } from "../domain/hex.ts"
import { shareMatches } from "../threshold/deal.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { readCommitteeKeys, type SharedKey, SharedKeyRejected } from "../threshold/shared-key.ts"
import { NodeChainView } from "./node-chain-view.port.ts"
import { type Refusal, refuse } from "./refusal.ts"
import { type EpochSecrets, ShareVault, type VaultRejected } from "./share-vault.port.ts"

export const NATIVE_SUITE_ID = keccakText("portcullis/native/bls12-381/v1")

export interface EpochKeys {
  readonly secrets: EpochSecrets
  readonly decryption: SharedKey
  readonly scheme: AttestationScheme
}

type Vault = ShareVault["Service"]

const readKeys = (engine: Bls12381Engine, record: Committee): SharedKey | undefined => {
  try {
    return readCommitteeKeys(engine, record).decryption
  } catch (error) {
    if (error instanceof PointRejected || error instanceof SharedKeyRejected) return undefined
    throw error
  }
}

/** What makes a share unusable under this record; undefined when it fits. */
const misfit = (engine: Bls12381Engine, vault: Vault, secrets: EpochSecrets, record: Committee): string | undefined => {
  const self = record.nodes.find((node) => node.id === vault.nodeId)
  if (record.suiteId !== NATIVE_SUITE_ID) return "the epoch speaks another suite"
  if (self === undefined) return `the epoch has no node ${vault.nodeId}`
  if (self.identity !== vault.identity) return "the epoch names another identity for this node"
  if (!timingSafeEqual(fromHex(record.decryptionKey), secrets.decryptionKey))
    return "the epoch's decryption key is not the one that was dealt"
  if (!timingSafeEqual(fromHex(record.attestationKey), secrets.attestationKey))
    return "the epoch's attestation key is not the one that was dealt"
  if (!shareMatches(engine, secrets.decryption, fromHex(self.decryptionKey))) return "the decryption share is not this node's"
  if (!shareMatches(engine, secrets.attestation, fromHex(self.attestationKey))) return "the attestation share is not this node's"
  return undefined
}

/** Epochs that are kept ready. More than two at a time are only met while old requests drain. */
const READY_MAX = 8

/** A lookup that remembers what it found. It never remembers a failure: the operator may mend it. */
export const epochKeys = (engine: Bls12381Engine) => {
  const ready = new Map<number, EpochKeys>()

  const load = Effect.fnUntraced(function* (epoch: number) {
    const [vault, chain] = [yield* ShareVault, yield* NodeChainView]
    const secrets = yield* vault.secrets(epoch)
    if (secrets === undefined) return yield* refuse("epoch-unknown", `this node has no share of epoch ${epoch}`)
    const record = yield* chain
      .committee(epoch)
      .pipe(Effect.mapError((error) => refuse("chain-unavailable", `the chain could not be asked (${error.doing})`)))
    if (record === undefined) return yield* refuse("epoch-unknown", `the chain has no epoch ${epoch}`)
    const decryption = readKeys(engine, record)
    const wrong = decryption === undefined ? "the record's keys are not one polynomial's" : misfit(engine, vault, secrets, record)
    if (decryption === undefined || wrong !== undefined) return yield* refuse("epoch-unknown", wrong ?? "unusable")
    const keys: EpochKeys = { secrets, decryption, scheme: record.scheme }
    const oldest = ready.keys().next()
    if (ready.size >= READY_MAX && oldest.done !== true) ready.delete(oldest.value)
    ready.set(epoch, keys)
    return keys
  })

  return (epoch: number): Effect.Effect<EpochKeys, Refusal | VaultRejected, ShareVault | NodeChainView> =>
    Effect.suspend(() => {
      const keys = ready.get(epoch)
      return keys === undefined ? load(epoch) : Effect.succeed(keys)
    })
}
