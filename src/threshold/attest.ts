/**
 * The committee's word that results are right: a threshold BLS signature over a 32-byte digest (protocol.md section 6), under the
 * attestation key and its own domain tag, so that no attestation can ever be a decryption share.
 */
import assert from "node:assert/strict"
import type { NodeId } from "../domain/committee.ts"
import { combineOne, type NodeShare } from "./combine.ts"
import type { Bls12381Engine, G1Point, G2Point, SecretScalar } from "./engine.ts"
import { makeShare, signatureScheme, verifyShare } from "./share.ts"
import type { SharedKey } from "./shared-key.ts"

export const ATTESTATION_DST = "PORTCULLIS_ATTEST_V1_BLS12381G1_XMD:SHA-256_SSWU_RO_"

export const hashAttestation = (engine: Bls12381Engine, digest: Uint8Array): G1Point => {
  assert(digest.length === 32, "an attestation digest is 32 bytes")
  return engine.hashToG1(digest, ATTESTATION_DST)
}

/** A node's part: 48 bytes. `secret` is its share of the attestation key. */
export const makeAttestationShare = (engine: Bls12381Engine, secret: SecretScalar, digest: Uint8Array): Uint8Array =>
  makeShare(engine, secret, hashAttestation(engine, digest))

/** Throws `PointRejected`. */
export const verifyAttestationShare = (
  engine: Bls12381Engine,
  verificationKey: G2Point,
  digest: Uint8Array,
  share: Uint8Array
): boolean => verifyShare(engine, verificationKey, hashAttestation(engine, digest), share)

export interface Attestation {
  /** 48 bytes. */
  readonly compressed: Uint8Array
  /** 128 bytes, EIP-2537: what the contract is given. */
  readonly forChain: Uint8Array
}

/** Exactly k parts, verified as a whole; liars are named only when that fails. */
export const combineAttestation = (
  engine: Bls12381Engine,
  key: SharedKey,
  digest: Uint8Array,
  shares: ReadonlyArray<NodeShare>
): { readonly attestation: Attestation } | { readonly liars: ReadonlyArray<NodeId> } => {
  const combined = combineOne(engine, signatureScheme, key, { statement: hashAttestation(engine, digest), shares })
  if ("liars" in combined) return combined
  return { attestation: { compressed: engine.encodeG1(combined.whole), forChain: engine.encodeG1ForChain(combined.whole) } }
}

/** What the contract checks: e(sig, G2) = e(A, apk). `signature` is 48 bytes. Throws `PointRejected`. */
export const verifyAttestation = (
  engine: Bls12381Engine,
  publicKey: G2Point,
  digest: Uint8Array,
  signature: Uint8Array
): boolean => verifyShare(engine, publicKey, hashAttestation(engine, digest), signature)
