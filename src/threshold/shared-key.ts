/**
 * A public key and its n verification keys, of which k shares make the whole: read once from the committee record, used
 * for years.
 */
import type { Committee, NodeId } from "../domain/committee.ts"
import assert from "node:assert/strict"
import { bls12_381_Fr as Fr } from "@noble/curves/bls12-381.js"
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"
import { fromHex } from "../domain/hex.ts"
import { COMMITTEE_NODES_MAX } from "../domain/limits.ts"
import type { Bls12381Engine, G2Point } from "./engine.ts"
import { evaluate } from "./lagrange.ts"
import { randomCoefficient } from "./scalar.ts"

/** A G2 key with the bytes that enter hashes: 96, compressed. */
export interface PublicKey {
  readonly point: G2Point
  readonly bytes: Uint8Array
}

export interface SharedKey {
  /** k: how many shares make the whole, and how many coefficients its polynomial has. */
  readonly threshold: number
  readonly publicKey: PublicKey
  /** pk_1 .. pk_n. */
  readonly verificationKeys: ReadonlyArray<G2Point>
}

/** A committee record that cannot be: its owner must mend it, no request can be served under it. */
export class SharedKeyRejected extends TaggedError("SharedKeyRejected")<{
  readonly reason:
    | "threshold out of range"
    | "too many nodes"
    | "node ids are not 1..n"
    | "keys of another polynomial"
    | "not k commitments"
}> {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `the committee record cannot be: ${this.reason}`
  }
}

/** 96 bytes from outside. Throws `PointRejected`. */
export const readPublicKey = (engine: Bls12381Engine, bytes: Uint8Array): PublicKey => ({
  point: engine.prepareG2(engine.decodeG2(bytes)),
  bytes: Uint8Array.from(bytes)
})

export const verificationKeyOf = (key: SharedKey, id: NodeId): G2Point => {
  const found = key.verificationKeys[id - 1]
  assert(found !== undefined, `no node ${id} of ${key.verificationKeys.length}`)
  return found
}

/**
 * Whether pk, pk_1 .. pk_n are the values at 0, 1 .. n of one polynomial of degree below k: the sum of v_i * q(i) *
 * pk_i vanishes for a random q of degree n - k (the dual code of Shamir's; Cascudo and David, "SCRAPE", eprint
 * 2017/216, section 3). False with 2^-128.
 */
const isOnePolynomial = (
  engine: Bls12381Engine,
  threshold: number,
  publicKey: G2Point,
  keys: ReadonlyArray<G2Point>
): boolean => {
  const points = [publicKey, ...keys]
  const xs = points.map((_, index) => BigInt(index))
  const q = Array.from({ length: keys.length - threshold + 1 }, () => randomCoefficient())
  const weights = xs.map((x) => {
    const product = xs.filter((other) => other !== x).reduce((all, other) => Fr.mul(all, Fr.create(x - other)), Fr.ONE)
    return Fr.div(evaluate(q, x), product)
  })
  return engine.isIdentityG2(engine.sumG2(points, weights))
}

/** Throws `PointRejected` or `SharedKeyRejected`. `verificationKeys[i - 1]` is node i's. */
export const readSharedKey = (
  engine: Bls12381Engine,
  record: { readonly threshold: number; readonly publicKey: Uint8Array; readonly verificationKeys: ReadonlyArray<Uint8Array> }
): SharedKey => {
  const nodes = record.verificationKeys.length
  if (nodes > COMMITTEE_NODES_MAX) throw new SharedKeyRejected({ reason: "too many nodes" })
  if (!Number.isInteger(record.threshold) || record.threshold < 1 || record.threshold > nodes) {
    throw new SharedKeyRejected({ reason: "threshold out of range" })
  }
  const publicKey = readPublicKey(engine, record.publicKey)
  const verificationKeys = record.verificationKeys.map((bytes) => engine.decodeG2(bytes))
  if (!isOnePolynomial(engine, record.threshold, publicKey.point, verificationKeys)) {
    throw new SharedKeyRejected({ reason: "keys of another polynomial" })
  }
  return { threshold: record.threshold, publicKey, verificationKeys }
}

/** Both keys of a committee record. Throws `PointRejected` or `SharedKeyRejected`. */
export const readCommitteeKeys = (
  engine: Bls12381Engine,
  committee: Pick<Committee, "threshold" | "nodes" | "decryptionKey" | "attestationKey">
): { readonly decryption: SharedKey; readonly attestation: SharedKey } => {
  const nodes = committee.nodes.toSorted((left, right) => left.id - right.id)
  if (!nodes.every((node, index) => node.id === index + 1)) throw new SharedKeyRejected({ reason: "node ids are not 1..n" })
  const read = (publicKey: Uint8Array, verificationKeys: ReadonlyArray<Uint8Array>) =>
    readSharedKey(engine, { threshold: committee.threshold, publicKey, verificationKeys })
  return {
    decryption: read(fromHex(committee.decryptionKey), nodes.map((node) => fromHex(node.decryptionKey))),
    attestation: read(fromHex(committee.attestationKey), nodes.map((node) => fromHex(node.attestationKey)))
  }
}

/**
 * Node id's verification key from the dealer's commitments to its k coefficients: the sum of id^j * C_j. Throws
 * `SharedKeyRejected`.
 */
export const verificationKeyFromCommitments = (
  engine: Bls12381Engine,
  commitments: ReadonlyArray<G2Point>,
  threshold: number,
  id: NodeId
): G2Point => {
  if (commitments.length !== threshold) throw new SharedKeyRejected({ reason: "not k commitments" })
  assert(Number.isInteger(id) && id >= 1 && id <= COMMITTEE_NODES_MAX, "node ids start at 1")
  return engine.sumG2(commitments, commitments.map((_, power) => Fr.pow(BigInt(id), BigInt(power))))
}
