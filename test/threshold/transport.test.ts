/** protocol.md section 5, user decryption: shares that can be verified while they are encrypted to the user. */
import { createHash } from "node:crypto"
import fc from "fast-check"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import { combineAll, combineOne } from "../../src/threshold/combine.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { PointRejected } from "../../src/threshold/point-rejected.ts"
import { randomSecret, secretFromWideBytes } from "../../src/threshold/scalar.ts"
import { signatureScheme } from "../../src/threshold/share.ts"
import {
  deriveTransportScalar,
  EncryptedKeyRejected,
  encryptedKeyScheme,
  ENCRYPTED_KEY_BYTES,
  makeEncryptedShare,
  openEncryptedKey,
  readTransportKey,
  transportKeyOf,
  type TransportStatement,
  verifyEncryptedShare
} from "../../src/threshold/transport.ts"
import { aCommittee, aHashedIdentity, type DealtCommittee, flipBit, shuffled, someBytes } from "./dealt-committee.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** HKDF-SHA-256 written out from RFC 5869 section 2, as the protocol page states the derivation. */
const hkdf = (key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array => {
  const hmac = (k: Uint8Array, data: Uint8Array): Uint8Array => {
    const block = new Uint8Array(64)
    block.set(k)
    const inner = createHash("sha256").update(block.map((byte) => byte ^ 0x36)).update(data).digest()
    return new Uint8Array(createHash("sha256").update(block.map((byte) => byte ^ 0x5c)).update(inner).digest())
  }
  const prk = hmac(salt, key)
  let out = new Uint8Array(0)
  let last: Uint8Array = new Uint8Array(0)
  for (let counter = 1; out.length < length; counter++) {
    last = hmac(prk, Uint8Array.of(...last, ...info, counter))
    out = Uint8Array.of(...out, ...last)
  }
  return out.slice(0, length)
}

test("r is HKDF-SHA-256(x_i, requestId, tag || handle) to 48 bytes mod r, and so always the same", () => {
  const [secret, requestId, handle] = [randomSecret(), someBytes(32), someBytes(32)]
  const info = Uint8Array.of(...Buffer.from("portcullis/native/v1/transport"), ...handle)
  const r = deriveTransportScalar(secret, requestId, handle)
  expect(hex(r)).toBe(hex(secretFromWideBytes(hkdf(secret, requestId, info, 48))))
  expect(hex(deriveTransportScalar(secret, requestId, handle))).toBe(hex(r))
  expect(hex(deriveTransportScalar(secret, someBytes(32), handle))).not.toBe(hex(r))
  expect(hex(deriveTransportScalar(secret, requestId, someBytes(32)))).not.toBe(hex(r))
})

describe.each([
  { name: "mcl", start: createMclEngine, runs: 40 },
  { name: "noble", start: async () => nobleEngine, runs: 2 }
])("encrypted shares ($name)", ({ start, runs }) => {
  let engine: Bls12381Engine
  let committee: DealtCommittee
  const transportSecret = randomSecret()
  beforeAll(async () => {
    engine = await start()
    committee = aCommittee(engine, 2, 3)
  })

  const aStatement = () => ({
    hashed: aHashedIdentity(engine, committee),
    transportKey: readTransportKey(engine, transportKeyOf(engine, transportSecret))
  })
  const sharesOf = (ids: ReadonlyArray<number>, statement: TransportStatement, requestId = someBytes(32)) =>
    ids.map((nodeId) => ({
      nodeId,
      share: makeEncryptedShare(engine, { ...statement, secret: committee.secretOf(nodeId), requestId, handle: requestId })
    }))

  test("the same request is answered with the same bytes", () => {
    const statement = aStatement()
    const requestId = someBytes(32)
    const [first, again] = [sharesOf([1], statement, requestId), sharesOf([1], statement, requestId)]
    expect(first).toEqual(again)
    expect(first[0]!.share).toHaveLength(ENCRYPTED_KEY_BYTES)
  })

  test("any k encrypted shares combine to an encrypted key that opens to the identity's key", () => {
    fc.assert(
      fc.property(fc.constantFrom([1, 2], [1, 3], [2, 3], [3, 1]), (ids) => {
        const statement = aStatement()
        const combined = combineOne(engine, encryptedKeyScheme, committee.key, { statement, shares: sharesOf(ids, statement) })
        const direct = combineOne(engine, signatureScheme, committee.key, {
          statement: statement.hashed,
          shares: committee.sharesOf(ids, statement.hashed)
        })
        if (!("whole" in combined) || !("whole" in direct)) return expect.fail("honest shares combine")
        const encryptedKey = encryptedKeyScheme.write(engine, combined.whole)
        const opening = { transportSecret, encryptedKey, publicKey: committee.key.publicKey.point, hashed: statement.hashed }
        expect(engine.equalG1(openEncryptedKey(engine, opening), direct.whole)).toBe(true)
        const open = (change: Partial<typeof opening>) => () => openEncryptedKey(engine, { ...opening, ...change })
        expect(open({ transportSecret: randomSecret() })).toThrow(EncryptedKeyRejected)
        expect(open({ hashed: aHashedIdentity(engine, committee) })).toThrow(EncryptedKeyRejected)
      }),
      { numRuns: Math.ceil(runs / 4) }
    )
  })

  test("any flipped bit in an encrypted share is blamed on the node that sent it", () => {
    const statement = aStatement()
    fc.assert(
      fc.property(fc.constantFrom(1, 2), fc.nat(ENCRYPTED_KEY_BYTES * 8 - 1), (liar, bit) => {
        const shares = shuffled(sharesOf([1, 2], statement)).map((given) =>
          given.nodeId === liar ? { ...given, share: flipBit(given.share, bit) } : given
        )
        expect(combineOne(engine, encryptedKeyScheme, committee.key, { statement, shares })).toEqual({ liars: [liar] })
      }),
      { numRuns: runs }
    )
  })

  test("a share for another transport key, another identity, or with a foreign part is a lie", () => {
    const statement = aStatement()
    const verify = (share: Uint8Array, nodeId = 1) =>
      verifyEncryptedShare(engine, committee.key.verificationKeys[nodeId - 1]!, statement, share)
    const good = sharesOf([1], statement)[0]!.share
    const foreignKey = readTransportKey(engine, transportKeyOf(engine, randomSecret()))
    expect(verify(good)).toBe(true)
    expect(verify(good, 2)).toBe(false)
    expect(verify(sharesOf([1], { ...statement, transportKey: foreignKey })[0]!.share)).toBe(false)
    expect(verify(sharesOf([1], { ...statement, hashed: aHashedIdentity(engine, committee) })[0]!.share)).toBe(false)
    const other = sharesOf([1], statement)[0]!.share // another request, another r
    const mixed = (from: number, to: number) => Uint8Array.of(...good.slice(0, from), ...other.slice(from, to), ...good.slice(to))
    expect(verify(mixed(0, 48))).toBe(false)
    expect(verify(mixed(48, 144))).toBe(false)
    expect(verify(mixed(144, 192))).toBe(false)
    expect(verify(other)).toBe(true)
  })

  test("many users' keys are verified together and the one bad answer is found", () => {
    const answers = Array.from({ length: runs > 10 ? 9 : 3 }, () => {
      const statement = {
        hashed: aHashedIdentity(engine, committee),
        transportKey: readTransportKey(engine, transportKeyOf(engine, randomSecret()))
      }
      return { statement, shares: sharesOf([1, 3], statement) }
    })
    answers[2]!.shares[1] = { nodeId: 3, share: answers[1]!.shares[1]!.share }
    const results = combineAll(engine, encryptedKeyScheme, committee.key, answers)
    expect(results.map((result) => ("liars" in result ? result.liars : "whole"))).toEqual(
      answers.map((_, index) => (index === 2 ? [3] : "whole"))
    )
  })

  test("a transport key that is no usable point is refused", () => {
    expect(() => readTransportKey(engine, new Uint8Array(48).with(0, 0xc0))).toThrow(PointRejected)
    expect(() => readTransportKey(engine, new Uint8Array(48).with(0, 0x80))).toThrow(PointRejected)
    expect(() => readTransportKey(engine, new Uint8Array(0))).toThrow(PointRejected)
  })
})
