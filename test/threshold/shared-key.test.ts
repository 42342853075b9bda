/** Dealt keys and committee records: what is accepted as one shared key and what is not. */
import { bls12_381_Fr as Fr } from "@noble/curves/bls12-381.js"
import fc from "fast-check"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { toHex } from "../../src/domain/hex.ts"
import { dealKey, shareMatches } from "../../src/threshold/deal.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { weightsAtZero } from "../../src/threshold/lagrange.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { PointRejected } from "../../src/threshold/point-rejected.ts"
import { bigintOf, GROUP_ORDER, readSecret, scalarBytes, ScalarRejected } from "../../src/threshold/scalar.ts"
import {
  readCommitteeKeys,
  readSharedKey,
  SharedKeyRejected,
  verificationKeyFromCommitments
} from "../../src/threshold/shared-key.ts"
import { someBytes } from "./dealt-committee.ts"

const size = fc.integer({ min: 1, max: 8 }).chain((nodes) => fc.tuple(fc.integer({ min: 1, max: nodes }), fc.constant(nodes)))

const reasonOf = (read: () => unknown): string => {
  try {
    read()
    return "accepted"
  } catch (error) {
    if (!(error instanceof SharedKeyRejected)) throw error
    expect(error.fate).toBe("halt")
    return error.reason
  }
}

describe.each([
  { name: "mcl", start: createMclEngine, runs: 30 },
  { name: "noble", start: async () => nobleEngine, runs: 2 }
])("shared keys ($name)", ({ start, runs }) => {
  let engine: Bls12381Engine
  beforeAll(async () => {
    engine = await start()
  })

  test("a dealt key has k commitments, the first its public key, and every share matches its verification key", () => {
    fc.assert(
      fc.property(size, ([threshold, nodes]) => {
        const dealt = dealKey(engine, { threshold, nodes })
        expect(dealt.commitments).toHaveLength(threshold)
        expect(toHex(dealt.commitments[0]!)).toBe(toHex(dealt.publicKey))
        expect(dealt.shares.map(({ nodeId }) => nodeId)).toEqual(Array.from({ length: nodes }, (_, index) => index + 1))
        for (const { nodeId, secret } of dealt.shares) {
          expect(shareMatches(engine, secret, dealt.verificationKeys[nodeId - 1]!)).toBe(true)
          expect(shareMatches(engine, secret, dealt.verificationKeys[nodeId % nodes]!)).toBe(nodes === 1 || threshold === 1)
        }
        expect(reasonOf(() => readSharedKey(engine, dealt))).toBe("accepted")
      }),
      { numRuns: runs }
    )
  })

  test("any k shares interpolate to the secret of the public key", () => {
    const dealt = dealKey(engine, { threshold: 3, nodes: 5 })
    const some = [dealt.shares[4]!, dealt.shares[0]!, dealt.shares[2]!]
    const weights = weightsAtZero(some.map(({ nodeId }) => BigInt(nodeId)))
    const secret = some.reduce((sum, { secret: share }, index) => Fr.add(sum, Fr.mul(weights[index]!, bigintOf(share))), 0n)
    expect(shareMatches(engine, scalarBytes(secret), dealt.publicKey)).toBe(true)
  })

  test("a record whose keys are not of one polynomial of degree k-1 is refused", () => {
    const dealt = dealKey(engine, { threshold: 2, nodes: 4 })
    const other = dealKey(engine, { threshold: 2, nodes: 4 })
    const read = (change: Partial<typeof dealt>) => reasonOf(() => readSharedKey(engine, { ...dealt, ...change }))
    expect(read({})).toBe("accepted")
    expect(read({ publicKey: other.publicKey })).toBe("keys of another polynomial")
    for (const index of [0, 1, 2, 3]) {
      const verificationKeys = dealt.verificationKeys.with(index, other.verificationKeys[index]!)
      expect(read({ verificationKeys })).toBe("keys of another polynomial")
    }
    expect(read({ verificationKeys: dealt.verificationKeys.toReversed() })).toBe("keys of another polynomial")
    expect(read({ threshold: 1 })).toBe("keys of another polynomial")
    expect(read({ threshold: 0 })).toBe("threshold out of range")
    expect(read({ threshold: 5 })).toBe("threshold out of range")
    expect(read({ threshold: 1.5 })).toBe("threshold out of range")
    expect(read({ verificationKeys: Array.from({ length: 33 }, () => dealt.publicKey) })).toBe("too many nodes")
    expect(() => read({ publicKey: new Uint8Array(96).with(0, 0xc0) })).toThrow(PointRejected)
  })

  test("a committee record with both keys is read by node id, in whatever order its nodes stand", () => {
    const [decryption, attestation] = [dealKey(engine, { threshold: 2, nodes: 3 }), dealKey(engine, { threshold: 2, nodes: 3 })]
    const nodes = [3, 1, 2].map((id) => ({
      id,
      identity: toHex(someBytes(20)),
      endpoint: "",
      decryptionKey: toHex(decryption.verificationKeys[id - 1]!),
      attestationKey: toHex(attestation.verificationKeys[id - 1]!)
    }))
    const [decryptionKey, attestationKey] = [toHex(decryption.publicKey), toHex(attestation.publicKey)]
    const committee = { threshold: 2, nodes, decryptionKey, attestationKey }
    const keys = readCommitteeKeys(engine, committee satisfies Partial<Committee>)
    expect(toHex(keys.decryption.publicKey.bytes)).toBe(committee.decryptionKey)
    expect(toHex(engine.encodeG2(keys.attestation.verificationKeys[2]!))).toBe(nodes[0]!.attestationKey)
    const withIds = (ids: ReadonlyArray<number>) => ({
      ...committee,
      nodes: nodes.map((node, index) => ({ ...node, id: ids[index]! }))
    })
    expect(reasonOf(() => readCommitteeKeys(engine, withIds([1, 1, 2])))).toBe("node ids are not 1..n")
    expect(reasonOf(() => readCommitteeKeys(engine, withIds([0, 1, 2])))).toBe("node ids are not 1..n")
    expect(reasonOf(() => readCommitteeKeys(engine, withIds([2, 3, 4])))).toBe("node ids are not 1..n")
  })

  test("exactly k commitments make a verification key", () => {
    const dealt = dealKey(engine, { threshold: 2, nodes: 3 })
    const commitments = dealt.commitments.map((bytes) => engine.decodeG2(bytes))
    const keyFrom = (some: typeof commitments, threshold: number, id: number) =>
      verificationKeyFromCommitments(engine, some, threshold, id)
    expect(toHex(engine.encodeG2(keyFrom(commitments, 2, 3)))).toBe(toHex(dealt.verificationKeys[2]!))
    expect(reasonOf(() => keyFrom(commitments, 3, 1))).toBe("not k commitments")
    expect(reasonOf(() => keyFrom([...commitments, commitments[0]!], 2, 1))).toBe("not k commitments")
  })
})

test("a secret from outside is 32 bytes of 1..r-1, and the refusal does not repeat it", () => {
  expect(toHex(readSecret(scalarBytes(GROUP_ORDER - 1n)))).toBe(toHex(scalarBytes(GROUP_ORDER - 1n)))
  for (const bad of [new Uint8Array(31), new Uint8Array(33), new Uint8Array(32), new Uint8Array(32).fill(0xab)]) {
    try {
      readSecret(bad)
      expect.fail("refused")
    } catch (error) {
      expect(error).toBeInstanceOf(ScalarRejected)
      expect(`${String(error)}${JSON.stringify(error)}`).not.toContain("abab")
    }
  }
})
