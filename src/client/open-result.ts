/**
 * The user's side of a user decryption: from encrypted keys to plaintexts, each key proved to be the committee's before it is
 * used.
 */
import { createHash } from "node:crypto"
import type { CiphertextRecord } from "../domain/ciphertext.ts"
import type { Committee } from "../domain/committee.ts"
import { fromHex, toHex, type Hex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import { openWithKey, parseCiphertext } from "../threshold/ciphertext.ts"
import { CiphertextRejected } from "../threshold/ciphertext-rejected.ts"
import type { G1Point } from "../threshold/engine.ts"
import { hashIdentity, identityBytes } from "../threshold/identity.ts"
import { nobleEngine } from "../threshold/noble-engine.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import type { PublicKey } from "../threshold/shared-key.ts"
import { ENCRYPTED_KEY_BYTES, EncryptedKeyRejected, openEncryptedKey } from "../threshold/transport.ts"
import { ResultRejected, type ResultFault } from "./client-errors.ts"
import { decryptionKeyOf } from "./committee-record.ts"
import type { TransportSecret } from "./transport-secret.ts"

export interface ToOpen {
  readonly requestId: Hex
  /** What the id commits to. */
  readonly facts: DecryptionRequest
  readonly registry: Hex
  readonly committee: Committee
  /** One for each handle of the request, in its order. */
  readonly records: ReadonlyArray<Pick<CiphertextRecord, "digest">>
  readonly items: ReadonlyArray<Uint8Array>
  /** In any order; found by their digests. */
  readonly ciphertexts: ReadonlyArray<Uint8Array>
}

/** One plaintext for each handle, in the request's order. Throws `ResultRejected`, `CommitteeUnusable` or `SecretDestroyed`. */
export const openItems = (of: ToOpen, transport: TransportSecret): ReadonlyArray<Uint8Array> => {
  const { requestId, facts } = of
  if (facts.transportKey !== transport.publicKey)
    throw new ResultRejected({ requestId, reason: "asked for with another transport key" })
  if (of.items.length !== facts.handles.length)
    throw new ResultRejected({ requestId, reason: "another number of items than handles" })
  const publicKey = decryptionKeyOf(of.committee)
  const byDigest = new Map(of.ciphertexts.map((bytes) => [toHex(createHash("sha256").update(bytes).digest()), bytes]))
  const secret = transport.reveal()
  try {
    return of.items.map((item, index) => {
      const handle = facts.handles[index]!
      const ciphertext = byDigest.get(of.records[index]!.digest)
      if (ciphertext === undefined) {
        throw new ResultRejected({ requestId, handle, reason: "no ciphertext with the registered digest was given" })
      }
      return openOne(of, { handle, item, ciphertext }, publicKey, secret)
    })
  } finally {
    secret.fill(0)
  }
}

const openOne = (
  { requestId, facts, registry }: ToOpen,
  { handle, item, ciphertext }: { readonly handle: Hex; readonly item: Uint8Array; readonly ciphertext: Uint8Array },
  publicKey: PublicKey,
  transportSecret: Uint8Array
): Uint8Array => {
  const rejected = (reason: ResultFault) => new ResultRejected({ requestId, handle, reason })
  const identity = identityBytes({ chainId: facts.chainId, registry: fromHex(registry), handle: fromHex(handle) })
  const key = keyIn(item, publicKey, identity, transportSecret)
  if (key === undefined) throw rejected("the key inside is not the committee's for this handle")
  try {
    const parsed = parseCiphertext(ciphertext)
    if (parsed.epoch !== facts.epoch) throw new CiphertextRejected({ reason: "wrong epoch" })
    const { plaintext, seed } = openWithKey(nobleEngine, parsed, identity, key)
    seed.fill(0)
    return plaintext
  } catch (error) {
    if (error instanceof CiphertextRejected) throw rejected("the ciphertext is not one for this handle")
    throw error
  }
}

/** Undefined when it is not the key of this identity under this committee. */
const keyIn = (
  encryptedKey: Uint8Array,
  publicKey: PublicKey,
  identity: Uint8Array,
  transportSecret: Uint8Array
): G1Point | undefined => {
  if (encryptedKey.length !== ENCRYPTED_KEY_BYTES) return undefined
  const hashed = hashIdentity(nobleEngine, publicKey.bytes, identity)
  try {
    return openEncryptedKey(nobleEngine, { transportSecret, encryptedKey, publicKey: publicKey.point, hashed })
  } catch (error) {
    if (error instanceof PointRejected || error instanceof EncryptedKeyRejected) return undefined
    throw error
  }
}
