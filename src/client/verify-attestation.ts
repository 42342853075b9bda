/**
 * Whether the committee itself vouches for a result: recomputed from the transaction that brought it, with the committee's keys
 * alone. An endpoint can hide a result or invent a log, but it cannot make this come out true for a result that k nodes did not
 * attest.
 */
import assert from "node:assert/strict"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import { hexlify, recoverAddress, type Result, type TransactionDescription, type TransactionResponse } from "ethers"
import type { Committee } from "../domain/committee.ts"
import { fromHex, lower, toHex, type Hex } from "../domain/hex.ts"
import { RESPONSES_PER_ATTESTATION_MAX } from "../domain/limits.ts"
import { attestationDigest, responseLeaf, resultHashOf, type AttestedRoot } from "../domain/response.ts"
import { verifyAttestation } from "../threshold/attest.ts"
import { merkleRoot, verifyMerkleProof } from "../threshold/merkle.ts"
import { nobleEngine } from "../threshold/noble-engine.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { readPublicKey } from "../threshold/shared-key.ts"
import { ResultRejected } from "./client-errors.ts"
import { gatewayInterface } from "./deployment.ts"
import type { Fulfilled } from "./wait-for-result.ts"

const SIGNATURE_BYTES = 65
const FIELD_BYTES = 64

export interface Brought {
  readonly attested: AttestedRoot
  readonly attestation: Uint8Array
  /** Whether this result stands under the attested root. */
  readonly holds: (requestId: Hex, result: Uint8Array) => boolean
}

/** What a transaction to the gateway brought; undefined for any other transaction. */
export const attestationIn = (gateway: Hex, transaction: Pick<TransactionResponse, "to" | "data">): Brought | undefined => {
  if (transaction.to === null || lower(transaction.to) !== gateway) return undefined
  const call = callIn(transaction.data)
  if (call?.name !== "fulfil" && call?.name !== "fulfilBatch") return undefined
  const [raw, attestation, given, proof] = call.args as unknown as [Result, string, Result, Result | undefined]
  if (call.name === "fulfilBatch" && (given.length < 1 || given.length > RESPONSES_PER_ATTESTATION_MAX)) return undefined
  const attested: AttestedRoot = {
    root: lower(String(raw.root)),
    count: Number(raw.count),
    epoch: Number(raw.epoch),
    expiry: Number(raw.expiry)
  }
  const root = fromHex(attested.root)
  const leafBytes = (requestId: Hex, result: Uint8Array) => fromHex(responseLeaf(requestId, resultHashOf(result)))
  const holds: Brought["holds"] =
    call.name === "fulfil"
      ? (requestId, result) =>
          verifyMerkleProof(
            root,
            leafBytes(requestId, result),
            [...(proof ?? [])].map((hash) => fromHex(String(hash)))
          )
      : (requestId, result) => {
          const leaves = [...given].map((response) =>
            leafBytes(lower(String(response.requestId)), fromHex(String(response.result)))
          )
          const ours = leafBytes(requestId, result)
          return Buffer.compare(merkleRoot(leaves), root) === 0 && leaves.some((leaf) => Buffer.compare(leaf, ours) === 0)
        }
  return { attested, attestation: fromHex(attestation), holds }
}

/** Calldata from an endpoint: it need not be any. */
const callIn = (data: string): TransactionDescription | undefined => {
  try {
    const call = gatewayInterface.parseTransaction({ data })
    call?.args.toArray(true) // a part that cannot be decoded throws here, and not where it is used
    return call ?? undefined
  } catch {
    return undefined
  }
}

/** Throws `ResultRejected` unless the committee attested this very result. */
export const requireAttested = (
  chainId: bigint,
  gateway: Hex,
  committee: Committee,
  result: Fulfilled,
  brought: Brought
): void => {
  const { requestId } = result
  if (brought.attested.epoch !== committee.epoch || !brought.holds(requestId, result.result)) {
    throw new ResultRejected({ requestId, reason: "the attestation is not for this result" })
  }
  const digest = attestationDigest({ chainId, gateway }, brought.attested)
  const isTheirs =
    committee.scheme === "bls"
      ? isSigned(committee, digest, brought.attestation)
      : isQuorum(committee, digest, brought.attestation)
  if (!isTheirs) throw new ResultRejected({ requestId, reason: "the attestation is not the committee's" })
}

const isSigned = (committee: Committee, digest: Hex, attestation: Uint8Array): boolean => {
  const signature = compressed(attestation)
  if (signature === undefined) return false
  try {
    const publicKey = readPublicKey(nobleEngine, fromHex(committee.attestationKey)).point
    return verifyAttestation(nobleEngine, publicKey, fromHex(digest), signature)
  } catch (error) {
    if (error instanceof PointRejected) return false
    throw error
  }
}

/** 128 bytes as EIP-2537 writes a G1 point, to 48; undefined for what is no point of the curve. */
const compressed = (uncompressed: Uint8Array): Uint8Array | undefined => {
  if (uncompressed.length !== 2 * FIELD_BYTES) return undefined
  const coordinate = (at: number) => BigInt(toHex(uncompressed.subarray(at, at + FIELD_BYTES)))
  try {
    const point = bls12_381.G1.Point.fromAffine({ x: coordinate(0), y: coordinate(FIELD_BYTES) })
    point.assertValidity()
    return point.toBytes()
  } catch {
    return undefined
  }
}

/** k signatures of different nodes of the committee, in ascending order of their addresses. */
const isQuorum = (committee: Committee, digest: Hex, attestation: Uint8Array): boolean => {
  assert(committee.threshold > 0, "a committee has a threshold")
  if (attestation.length !== committee.threshold * SIGNATURE_BYTES) return false
  const identities = new Set(committee.nodes.map((node) => node.identity))
  let previous = ""
  for (let at = 0; at < attestation.length; at += SIGNATURE_BYTES) {
    const signer = signerOf(digest, attestation.subarray(at, at + SIGNATURE_BYTES))
    if (signer === undefined || signer <= previous || !identities.has(signer)) return false
    previous = signer
  }
  return true
}

const signerOf = (digest: Hex, signature: Uint8Array): Hex | undefined => {
  try {
    return lower(recoverAddress(digest, hexlify(signature)))
  } catch {
    return undefined
  }
}
