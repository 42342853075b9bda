/**
 * Identity-based encryption of a short message, byte for byte as @dfinity/vetkeys 0.4 does it (`IbeCiphertext`):
 * Boneh-Franklin with the Fujisaki-Okamoto transform. The 32-byte seed sigma *opens* a ciphertext: with it the message
 * can be recomputed and checked against c1 without any key and without a pairing.
 */
import assert from "node:assert/strict"
import { createHash, hkdfSync, timingSafeEqual } from "node:crypto"
import { hash_to_field } from "@noble/curves/abstract/hash-to-curve.js"
import { sha256 } from "@noble/hashes/sha2.js"
import { CiphertextRejected } from "./ciphertext-rejected.ts"
import type { Bls12381Engine, G1Point, G2Point, PublicScalar } from "./engine.ts"
import { PointRejected } from "./point-rejected.ts"
import { GROUP_ORDER, scalarBytes } from "./scalar.ts"

/** "IC IBE" 00 01 */
const HEADER = Uint8Array.of(0x49, 0x43, 0x20, 0x49, 0x42, 0x45, 0x00, 0x01)
const SEED_BYTES = 32
const C1_BYTES = 96
/** What the header, c1 and c2 add to a message. */
export const IBE_OVERHEAD_BYTES = HEADER.length + C1_BYTES + SEED_BYTES

/** Parsed, its c1 not yet decoded: opening with a seed only compares c1's bytes. */
export interface IbeCiphertext {
  readonly c1: Uint8Array
  /** sigma xor mask(e(H(id), pk)^t). */
  readonly c2: Uint8Array
  /** message xor mask(sigma). */
  readonly c3: Uint8Array
}

export interface IbeOpening {
  readonly message: Uint8Array
  /** sigma, 32 bytes. Secret until the message may be known. */
  readonly seed: Uint8Array
}

const hkdf = (key: Uint8Array, info: string): Uint8Array => new Uint8Array(hkdfSync("sha256", key, new Uint8Array(0), info, 32))

const xor = (left: Uint8Array, right: Uint8Array): Uint8Array => {
  assert(left.length === right.length, "a mask is as long as what it hides")
  return left.map((byte, index) => byte ^ right[index]!)
}

/** t: RFC 9380 section 5.2 hash_to_field over r, L = 48, expand_message_xmd with SHA-256. */
const scalarFrom = (seed: Uint8Array, message: Uint8Array): PublicScalar => {
  const input = new Uint8Array(Buffer.concat([HEADER, seed, message]))
  const [[t]] = hash_to_field(input, 1, {
    p: GROUP_ORDER,
    m: 1,
    k: 128,
    expand: "xmd",
    hash: sha256,
    DST: "ic-vetkd-bls12-381-ibe-hash-to-mask"
  }) as [[bigint]]
  assert(t !== 0n, "a hash is not zero modulo r")
  return t
}

const maskSeed = (seed: Uint8Array, pairing: Uint8Array): Uint8Array =>
  xor(seed, hkdf(pairing, "ic-vetkd-bls12-381-ibe-mask-seed"))

const maskMessage = (message: Uint8Array, seed: Uint8Array): Uint8Array => {
  const shakeSeed = hkdf(seed, `ic-vetkd-bls12-381-ibe-mask-msg-${message.length.toString().padStart(20, "0")}`)
  return xor(message, createHash("shake256", { outputLength: message.length }).update(shakeSeed).digest())
}

/** Strict: the header, and a message of exactly `messageBytes`. Throws `CiphertextRejected`. */
export const parseIbe = (bytes: Uint8Array, messageBytes: number): IbeCiphertext => {
  if (bytes.length !== IBE_OVERHEAD_BYTES + messageBytes) {
    throw new CiphertextRejected({ reason: "wrong length of the encrypted key" })
  }
  if (!HEADER.every((byte, index) => bytes[index] === byte)) throw new CiphertextRejected({ reason: "not an IBE ciphertext" })
  const at = HEADER.length
  return {
    c1: bytes.slice(at, at + C1_BYTES),
    c2: bytes.slice(at + C1_BYTES, IBE_OVERHEAD_BYTES),
    c3: bytes.slice(IBE_OVERHEAD_BYTES)
  }
}

/** `seed` must be fresh random bytes for this one message and is secret. */
export const encryptIbe = (
  engine: Bls12381Engine,
  to: { readonly publicKey: G2Point; readonly hashed: G1Point },
  message: Uint8Array,
  seed: Uint8Array
): Uint8Array => {
  assert(seed.length === SEED_BYTES, "an IBE seed is 32 bytes")
  const t = scalarBytes(scalarFrom(seed, message))
  const c1 = engine.secretMultipleG2(engine.generatorG2, t)
  const pairing = engine.pairingBytes(engine.secretMultipleG1(to.hashed, t), to.publicKey) // e(H, pk)^t = e(t*H, pk)
  t.fill(0)
  const ciphertext = Buffer.concat([HEADER, engine.encodeG2(c1), maskSeed(seed, pairing), maskMessage(message, seed)])
  pairing.fill(0)
  return new Uint8Array(ciphertext)
}

/** The message for a seed, if c1 says so: at most one (seed, message) fits a c1. Throws `CiphertextRejected`. */
export const openIbe = (engine: Bls12381Engine, ciphertext: IbeCiphertext, seed: Uint8Array): Uint8Array => {
  if (seed.length !== SEED_BYTES) throw new CiphertextRejected({ reason: "wrong opening" })
  const message = maskMessage(ciphertext.c3, seed)
  const c1 = engine.encodeG2(engine.publicMultipleG2(scalarFrom(seed, message)))
  if (!timingSafeEqual(c1, ciphertext.c1)) throw new CiphertextRejected({ reason: "wrong opening" })
  return message
}

/**
 * Decrypts with K = x*H(id). Throws `CiphertextRejected` when the ciphertext was not made for this key: with a K that
 * was verified, it is the ciphertext that is bad.
 */
export const decryptIbe = (engine: Bls12381Engine, ciphertext: IbeCiphertext, key: G1Point): IbeOpening => {
  const pairing = engine.pairingBytes(key, decodeC1(engine, ciphertext.c1))
  const seed = maskSeed(ciphertext.c2, pairing)
  pairing.fill(0)
  return { seed, message: openIbe(engine, ciphertext, seed) }
}

const decodeC1 = (engine: Bls12381Engine, bytes: Uint8Array): G2Point => {
  try {
    return engine.decodeG2(bytes)
  } catch (error) {
    if (error instanceof PointRejected) throw new CiphertextRejected({ reason: "c1 is not a point" })
    throw error
  }
}
