/**
 * The ciphertext format PCT1 (protocol.md section 2): a data key that is IBE-encrypted to the identity, and the payload under it.
 *
 *     "PCT1" | suite 0x01 | flags 0x00 | epoch u32 | ibeLength u16 | ibe | nonce (12) | AES-256-GCM(payload) with 16-byte tag
 */
import assert from "node:assert/strict"
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { CIPHERTEXT_BYTES_MAX } from "../domain/limits.ts"
import { CiphertextRejected } from "./ciphertext-rejected.ts"
import type { Bls12381Engine, G1Point } from "./engine.ts"
import { decryptIbe, encryptIbe, IBE_OVERHEAD_BYTES, type IbeCiphertext, openIbe, parseIbe } from "./ibe.ts"
import { hashIdentity } from "./identity.ts"
import type { PublicKey } from "./shared-key.ts"

const MAGIC = 0x50_43_54_31 // "PCT1"
const SUITE = 0x01
const FLAGS = 0x00
const DATA_KEY_BYTES = 32
const IBE_BYTES = IBE_OVERHEAD_BYTES + DATA_KEY_BYTES
const FIXED_BYTES = 12
const NONCE_BYTES = 12
const TAG_BYTES = 16
const NONCE_AT = FIXED_BYTES + IBE_BYTES
/** What the format adds to a payload. */
export const CIPHERTEXT_OVERHEAD_BYTES = NONCE_AT + NONCE_BYTES + TAG_BYTES

export interface Ciphertext {
  /** The committee epoch it was encrypted for. */
  readonly epoch: number
  readonly ibe: IbeCiphertext
  /** Everything before the nonce: authenticated with the payload. */
  readonly header: Uint8Array
  readonly nonce: Uint8Array
  /** Encrypted payload and tag. */
  readonly sealed: Uint8Array
}

/** The first bytes are enough to find the opening: what a job on another thread needs of a ciphertext that may be large. */
export const CIPHERTEXT_HEADER_BYTES = NONCE_AT

/** Everything before the nonce. Throws `CiphertextRejected`. */
export const parseHeader = (header: Uint8Array): Pick<Ciphertext, "epoch" | "ibe"> => {
  if (header.length < NONCE_AT) throw new CiphertextRejected({ reason: "too short" })
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  if (view.getUint32(0) !== MAGIC) throw new CiphertextRejected({ reason: "not a PCT1 ciphertext" })
  if (view.getUint8(4) !== SUITE) throw new CiphertextRejected({ reason: "unknown suite" })
  if (view.getUint8(5) !== FLAGS) throw new CiphertextRejected({ reason: "unknown flags" })
  if (view.getUint16(10) !== IBE_BYTES) throw new CiphertextRejected({ reason: "wrong length of the encrypted key" })
  return { epoch: view.getUint32(6), ibe: parseIbe(header.subarray(FIXED_BYTES, NONCE_AT), DATA_KEY_BYTES) }
}

/** Strict; copies nothing of the payload. Throws `CiphertextRejected`. */
export const parseCiphertext = (bytes: Uint8Array): Ciphertext => {
  if (bytes.length < CIPHERTEXT_OVERHEAD_BYTES) throw new CiphertextRejected({ reason: "too short" })
  if (bytes.length > CIPHERTEXT_BYTES_MAX) throw new CiphertextRejected({ reason: "too long" })
  const header = bytes.subarray(0, NONCE_AT)
  return {
    ...parseHeader(header),
    header,
    nonce: bytes.subarray(NONCE_AT, NONCE_AT + NONCE_BYTES),
    sealed: bytes.subarray(NONCE_AT + NONCE_BYTES)
  }
}

const freshSecrets = () => ({
  dataKey: new Uint8Array(randomBytes(DATA_KEY_BYTES)),
  seed: new Uint8Array(randomBytes(32)),
  nonce: new Uint8Array(randomBytes(NONCE_BYTES))
})

/**
 * Encrypts `payload` (0 bytes up to the limit of a ciphertext) to an identity of a committee. `secrets` is for test
 * vectors only.
 */
export const sealCiphertext = (
  engine: Bls12381Engine,
  to: { readonly publicKey: PublicKey; readonly epoch: number; readonly identity: Uint8Array },
  payload: Uint8Array,
  secrets: ReturnType<typeof freshSecrets> = freshSecrets()
): Uint8Array => {
  assert(Number.isInteger(to.epoch) && to.epoch >= 1 && to.epoch <= 0xff_ff_ff_ff, "an epoch is a uint32 from 1")
  assert(payload.length + CIPHERTEXT_OVERHEAD_BYTES <= CIPHERTEXT_BYTES_MAX, "the payload fits in one ciphertext")
  const hashed = hashIdentity(engine, to.publicKey.bytes, to.identity)
  const header = new Uint8Array(NONCE_AT)
  const view = new DataView(header.buffer)
  view.setUint32(0, MAGIC)
  view.setUint8(4, SUITE)
  view.setUint8(5, FLAGS)
  view.setUint32(6, to.epoch)
  view.setUint16(10, IBE_BYTES)
  header.set(encryptIbe(engine, { publicKey: to.publicKey.point, hashed }, secrets.dataKey, secrets.seed), FIXED_BYTES)
  const cipher = createCipheriv("aes-256-gcm", secrets.dataKey, secrets.nonce).setAAD(Buffer.concat([header, to.identity]))
  const sealed = Buffer.concat([cipher.update(payload), cipher.final(), cipher.getAuthTag()])
  const ciphertext = new Uint8Array(Buffer.concat([header, secrets.nonce, sealed]))
  secrets.dataKey.fill(0)
  secrets.seed.fill(0)
  return ciphertext
}

/** The payload under a data key. Throws `CiphertextRejected`. */
const unseal = (ciphertext: Ciphertext, identity: Uint8Array, dataKey: Uint8Array): Uint8Array => {
  const tagAt = ciphertext.sealed.length - TAG_BYTES
  const decipher = createDecipheriv("aes-256-gcm", dataKey, ciphertext.nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.concat([ciphertext.header, identity]))
    .setAuthTag(ciphertext.sealed.subarray(tagAt))
  dataKey.fill(0)
  const payload = decipher.update(ciphertext.sealed.subarray(0, tagAt))
  try {
    return new Uint8Array(Buffer.concat([payload, decipher.final()]))
  } catch {
    payload.fill(0)
    throw new CiphertextRejected({ reason: "payload not authentic" })
  }
}

export interface Opened {
  readonly plaintext: Uint8Array
  /** sigma: lets anybody who has the ciphertext repeat this, see `openWithSeed`. Secret until the plaintext may be known. */
  readonly seed: Uint8Array
}

/** With K = x*H(id), verified before. One pairing. Throws `CiphertextRejected`. */
export const openWithKey = (engine: Bls12381Engine, ciphertext: Ciphertext, identity: Uint8Array, key: G1Point): Opened => {
  const { message, seed } = decryptIbe(engine, ciphertext.ibe, key)
  return { plaintext: unseal(ciphertext, identity, message), seed }
}

/** With the opening alone: no key, no pairing. Throws `CiphertextRejected`. */
export const openWithSeed = (
  engine: Bls12381Engine,
  ciphertext: Ciphertext,
  identity: Uint8Array,
  seed: Uint8Array
): Uint8Array => unseal(ciphertext, identity, openIbe(engine, ciphertext.ibe, seed))
