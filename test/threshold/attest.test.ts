/** protocol.md section 6: the committee's signature over a digest, as the contract will check it. */
import { bls12_381 } from "@noble/curves/bls12-381.js"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import {
  combineAttestation,
  hashAttestation,
  makeAttestationShare,
  verifyAttestation,
  verifyAttestationShare
} from "../../src/threshold/attest.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { DECRYPTION_DST } from "../../src/threshold/identity.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { makeShare } from "../../src/threshold/share.ts"
import { aCommittee, type DealtCommittee, someBytes } from "./dealt-committee.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

describe.each([
  { name: "mcl", start: createMclEngine },
  { name: "noble", start: async () => nobleEngine }
])("attestation ($name)", ({ start }) => {
  let engine: Bls12381Engine
  let committee: DealtCommittee
  const digest = someBytes(32)
  beforeAll(async () => {
    engine = await start()
    committee = aCommittee(engine, 3, 5)
  })
  const partsOf = (ids: ReadonlyArray<number>, of = digest) =>
    ids.map((nodeId) => ({ nodeId, share: makeAttestationShare(engine, committee.secretOf(nodeId), of) }))

  test("k parts combine to the one signature that the committee's key verifies", () => {
    const one = combineAttestation(engine, committee.key, digest, partsOf([1, 3, 5]))
    const other = combineAttestation(engine, committee.key, digest, partsOf([4, 2, 1]))
    if (!("attestation" in one) || !("attestation" in other)) return expect.fail("honest parts combine")
    expect(hex(one.attestation.compressed)).toBe(hex(other.attestation.compressed))
    expect(one.attestation.forChain).toHaveLength(128)
    const key = committee.key.publicKey.point
    expect(verifyAttestation(engine, key, digest, one.attestation.compressed)).toBe(true)
    expect(verifyAttestation(engine, key, someBytes(32), one.attestation.compressed)).toBe(false)
    const foreignKey = aCommittee(engine, 1, 1).key.publicKey.point
    expect(verifyAttestation(engine, foreignKey, digest, one.attestation.compressed)).toBe(false)
  })

  test("a part for another digest is blamed on its node", () => {
    const parts = [...partsOf([1, 2]), ...partsOf([4], someBytes(32))]
    expect(combineAttestation(engine, committee.key, digest, parts)).toEqual({ liars: [4] })
    expect(verifyAttestationShare(engine, committee.key.verificationKeys[3]!, digest, parts[2]!.share)).toBe(false)
    expect(verifyAttestationShare(engine, committee.key.verificationKeys[1]!, digest, parts[1]!.share)).toBe(true)
  })

  test("a decryption share of the same bytes under the same key is no attestation", () => {
    const asDecryption = makeShare(engine, committee.secretOf(1), engine.hashToG1(digest, DECRYPTION_DST))
    expect(verifyAttestationShare(engine, committee.key.verificationKeys[0]!, digest, asDecryption)).toBe(false)
  })

  test("the digest is hashed under the tag that the protocol page and the contract name", () => {
    const DST = "PORTCULLIS_ATTEST_V1_BLS12381G1_XMD:SHA-256_SSWU_RO_"
    const point = bls12_381.G1.hashToCurve(digest, { DST })
    expect(hex(engine.encodeG1(hashAttestation(engine, digest)))).toBe(point.toHex(true))
  })

  test("only a 32-byte digest is attested", () => {
    expect(() => hashAttestation(engine, new Uint8Array(31))).toThrow("32 bytes")
  })
})
