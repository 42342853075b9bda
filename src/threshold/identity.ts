/** Whom a value is encrypted to: one handle of one registry on one chain (protocol.md section 2). */
import assert from "node:assert/strict"
import type { Bls12381Engine, G1Point } from "./engine.ts"

const TAG = new TextEncoder().encode("portcullis/native/v1/decrypt")
/**
 * RFC 9380 section 8.10 naming; the message-augmentation scheme of draft-irtf-cfrg-bls-signature-05 section 3.2, as
 * vetKD uses it.
 */
export const DECRYPTION_DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_"
export const IDENTITY_BYTES = 112

/** tag (28) || chainId (32, big-endian) || registry (20) || handle (32). */
export const identityBytes = (of: {
  readonly chainId: bigint
  readonly registry: Uint8Array
  readonly handle: Uint8Array
}): Uint8Array => {
  assert(of.chainId >= 0n && of.chainId < 1n << 256n, "a chain id is a uint256")
  assert(of.registry.length === 20, "an address is 20 bytes")
  assert(of.handle.length === 32, "a handle is 32 bytes")
  const identity = new Uint8Array(IDENTITY_BYTES)
  identity.set(TAG)
  identity.set(Buffer.from(of.chainId.toString(16).padStart(64, "0"), "hex"), 28)
  identity.set(of.registry, 60)
  identity.set(of.handle, 80)
  return identity
}

/** H(id): the identity under one committee's key. `publicKey` is pk, 96 bytes compressed. */
export const hashIdentity = (engine: Bls12381Engine, publicKey: Uint8Array, identity: Uint8Array): G1Point => {
  assert(publicKey.length === 96, "a public key is 96 bytes")
  return engine.hashToG1(new Uint8Array(Buffer.concat([publicKey, identity])), DECRYPTION_DST)
}
