/**
 * One root for up to 32 responses (protocol.md section 6): parent = keccak256(smaller || larger), an odd last node
 * moves up unchanged. Leaves are hashes of 96 bytes and parents of 64, so no leaf can pass for a parent.
 */
import assert from "node:assert/strict"
import { timingSafeEqual } from "node:crypto"
import { keccak_256 } from "@noble/hashes/sha3.js"
import { RESPONSES_PER_ATTESTATION_MAX } from "../domain/limits.ts"

const HASH_BYTES = 32

const parentOf = (left: Uint8Array, right: Uint8Array): Uint8Array => {
  const inOrder = Buffer.compare(left, right) <= 0 ? [left, right] : [right, left]
  return keccak_256(new Uint8Array(Buffer.concat(inOrder)))
}

const levelAbove = (level: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(level.length / 2) }, (_, index) => {
    const right = level[2 * index + 1]
    return right === undefined ? level[2 * index]! : parentOf(level[2 * index]!, right)
  })

const assertLeaves = (leaves: ReadonlyArray<Uint8Array>): void => {
  assert(leaves.length >= 1 && leaves.length <= RESPONSES_PER_ATTESTATION_MAX, `1..${RESPONSES_PER_ATTESTATION_MAX} leaves`)
  assert(
    leaves.every((leaf) => leaf.length === HASH_BYTES),
    "a leaf is 32 bytes"
  )
}

/** 32 bytes. One leaf is its own root. */
export const merkleRoot = (leaves: ReadonlyArray<Uint8Array>): Uint8Array => {
  assertLeaves(leaves)
  let level = leaves
  while (level.length > 1) level = levelAbove(level)
  return level[0]!
}

/** The siblings on the way up from leaf `index`, lowest first: at most 5 for 32 leaves. */
export const merkleProof = (leaves: ReadonlyArray<Uint8Array>, index: number): ReadonlyArray<Uint8Array> => {
  assertLeaves(leaves)
  assert(Number.isInteger(index) && index >= 0 && index < leaves.length, "a proof is for one of the leaves")
  const proof: Array<Uint8Array> = []
  let level = leaves
  let at = index
  while (level.length > 1) {
    const sibling = level[at ^ 1]
    if (sibling !== undefined) proof.push(sibling)
    level = levelAbove(level)
    at >>= 1
  }
  return proof
}

/** Whether `leaf` is under `root`. False, never an error, for hashes of another length. */
export const verifyMerkleProof = (root: Uint8Array, leaf: Uint8Array, proof: ReadonlyArray<Uint8Array>): boolean => {
  if ([root, leaf, ...proof].some((hash) => hash.length !== HASH_BYTES)) return false
  return timingSafeEqual(proof.reduce(parentOf, leaf), root)
}
