/**
 * The development dealer: one process that knows the whole key and hands out its shares. Real committees must not be
 * dealt: whoever runs this could decrypt everything. It exists so that a laptop can be a committee.
 */
import assert from "node:assert/strict"
import type { NodeId } from "../domain/committee.ts"
import { COMMITTEE_NODES_MAX } from "../domain/limits.ts"
import type { Bls12381Engine, SecretScalar } from "./engine.ts"
import { evaluate } from "./lagrange.ts"
import { bigintOf, randomSecret, scalarBytes } from "./scalar.ts"
import { verificationKeyFromCommitments } from "./shared-key.ts"

export interface DealtKey {
  readonly threshold: number
  /** 96 bytes. */
  readonly publicKey: Uint8Array
  /** Exactly k, 96 bytes each: coefficient j times the G2 generator (Feldman). The first is the public key. */
  readonly commitments: ReadonlyArray<Uint8Array>
  /** 96 bytes each; `verificationKeys[i - 1]` is node i's. */
  readonly verificationKeys: ReadonlyArray<Uint8Array>
  readonly shares: ReadonlyArray<{ readonly nodeId: NodeId; readonly secret: SecretScalar }>
}

/** A fresh key of a random polynomial of degree k-1. Call once for the decryption key and once for the attestation key. */
export const dealKey = (
  engine: Bls12381Engine,
  of: { readonly threshold: number; readonly nodes: number },
  randomScalar: () => SecretScalar = randomSecret
): DealtKey => {
  assert(Number.isInteger(of.nodes) && of.nodes >= 1 && of.nodes <= COMMITTEE_NODES_MAX, "a committee has 1..32 nodes")
  assert(Number.isInteger(of.threshold) && of.threshold >= 1 && of.threshold <= of.nodes, "the threshold is in 1..n")
  const secrets = Array.from({ length: of.threshold }, randomScalar)
  const coefficients = secrets.map(bigintOf)
  const commitments = secrets.map((secret) => engine.secretMultipleG2(engine.generatorG2, secret))
  for (const secret of secrets) secret.fill(0)
  const ids = Array.from({ length: of.nodes }, (_, index) => index + 1)
  const shares = ids.map((nodeId) => ({ nodeId, secret: scalarBytes(evaluate(coefficients, BigInt(nodeId))) }))
  return {
    threshold: of.threshold,
    publicKey: engine.encodeG2(commitments[0]!),
    commitments: commitments.map((point) => engine.encodeG2(point)),
    verificationKeys: ids.map((id) => engine.encodeG2(verificationKeyFromCommitments(engine, commitments, of.threshold, id))),
    shares
  }
}

/** Whether a share is the one that this verification key promises: what a node checks before it takes a share into use. */
export const shareMatches = (engine: Bls12381Engine, secret: SecretScalar, verificationKey: Uint8Array): boolean =>
  engine.equalG2(engine.secretMultipleG2(engine.generatorG2, secret), engine.decodeG2(verificationKey))
