/** protocol.md section 6: sorted pairs, an odd last node moves up unchanged. */
import { keccak_256 } from "@noble/hashes/sha3.js"
import fc from "fast-check"
import { expect, test } from "vitest"
import { merkleProof, merkleRoot, verifyMerkleProof } from "../../src/threshold/merkle.ts"
import { flipBit } from "./dealt-committee.ts"

const leaf = fc.uint8Array({ minLength: 32, maxLength: 32 })
const leaves = fc.array(leaf, { minLength: 1, maxLength: 32 })
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const pair = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  keccak_256(hex(left) < hex(right) ? Uint8Array.of(...left, ...right) : Uint8Array.of(...right, ...left))

test("the root of one is itself, of two their pair, of three the pair of a pair and the third", () => {
  fc.assert(
    fc.property(leaf, leaf, leaf, (a, b, c) => {
      expect(hex(merkleRoot([a]))).toBe(hex(a))
      expect(hex(merkleRoot([a, b]))).toBe(hex(pair(a, b)))
      expect(hex(merkleRoot([a, b, c]))).toBe(hex(pair(pair(a, b), c)))
      expect(hex(merkleRoot([a, b, c, a, b]))).toBe(hex(pair(pair(pair(a, b), pair(c, a)), b)))
    })
  )
})

test("every leaf proves that it is under the root, with at most five siblings", () => {
  fc.assert(
    fc.property(leaves, (given) => {
      const root = merkleRoot(given)
      for (const [index, one] of given.entries()) {
        const proof = merkleProof(given, index)
        expect(proof.length).toBeLessThanOrEqual(5)
        expect(verifyMerkleProof(root, one, proof)).toBe(true)
      }
    })
  )
})

test("no other leaf, root or proof verifies", () => {
  fc.assert(
    fc.property(fc.uniqueArray(leaf, { minLength: 2, maxLength: 32, selector: hex }), fc.nat(), fc.nat(255), (given, at, bit) => {
      const index = at % given.length
      const [root, one, proof] = [merkleRoot(given), given[index]!, merkleProof(given, index)]
      expect(verifyMerkleProof(root, flipBit(one, bit), proof)).toBe(false)
      expect(verifyMerkleProof(flipBit(root, bit), one, proof)).toBe(false)
      for (const place of proof.keys()) {
        expect(verifyMerkleProof(root, one, proof.with(place, flipBit(proof[place]!, bit)))).toBe(false)
      }
      if (proof.length > 0) expect(verifyMerkleProof(root, one, proof.slice(1))).toBe(false)
      expect(verifyMerkleProof(root, one, [...proof, one])).toBe(false)
      expect(verifyMerkleProof(root, one.subarray(1), proof)).toBe(false)
    })
  )
})

test("no leaves, more than 32, or a leaf of another length are our mistakes", () => {
  expect(() => merkleRoot([])).toThrow("1..32 leaves")
  expect(() => merkleRoot(Array.from({ length: 33 }, () => new Uint8Array(32)))).toThrow("1..32 leaves")
  expect(() => merkleRoot([new Uint8Array(31)])).toThrow("32 bytes")
  expect(() => merkleProof([new Uint8Array(32)], 1)).toThrow("one of the leaves")
})
