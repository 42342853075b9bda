/** protocol.md section 2: the PCT1 format, sealed and opened, and everything that must not open. */
import fc from "fast-check"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import { CiphertextRejected } from "../../src/threshold/ciphertext-rejected.ts"
import {
  CIPHERTEXT_OVERHEAD_BYTES,
  openWithKey,
  openWithSeed,
  parseCiphertext,
  sealCiphertext
} from "../../src/threshold/ciphertext.ts"
import { combineOne } from "../../src/threshold/combine.ts"
import type { Bls12381Engine, G1Point } from "../../src/threshold/engine.ts"
import { hashIdentity } from "../../src/threshold/identity.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { signatureScheme } from "../../src/threshold/share.ts"
import { aCommittee, anIdentity, type DealtCommittee, flipBit } from "./dealt-committee.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const reasonOf = (open: () => unknown): string => {
  try {
    open()
    return "opened"
  } catch (error) {
    if (!(error instanceof CiphertextRejected)) throw error
    expect(error.fate).toBe("refuse")
    return error.reason
  }
}

describe.each([
  { name: "mcl", start: createMclEngine, runs: 60 },
  { name: "noble", start: async () => nobleEngine, runs: 3 }
])("ciphertexts ($name)", ({ start, runs }) => {
  let engine: Bls12381Engine
  let committee: DealtCommittee
  let key: G1Point
  let sealed: Uint8Array
  const identity = anIdentity()
  const payload = new TextEncoder().encode("forty-two")

  const keyFor = (of: Uint8Array): G1Point => {
    const hashed = hashIdentity(engine, committee.dealt.publicKey, of)
    const combined = combineOne(engine, signatureScheme, committee.key, {
      statement: hashed,
      shares: committee.sharesOf([1, 2], hashed)
    })
    if ("liars" in combined) throw new Error("honest shares combine")
    return combined.whole
  }
  const seal = (given: Uint8Array, epoch = 7) =>
    sealCiphertext(engine, { publicKey: committee.key.publicKey, epoch, identity }, given)

  beforeAll(async () => {
    engine = await start()
    committee = aCommittee(engine, 2, 3)
    key = keyFor(identity)
    sealed = seal(payload)
  })

  test("the header is laid out as the protocol page says", () => {
    expect(hex(sealed.subarray(0, 12))).toBe(`${hex(Buffer.from("PCT1"))}0100${"00000007"}00a8`)
    expect(hex(sealed.subarray(12, 20))).toBe("4943204942450001")
    expect(sealed).toHaveLength(payload.length + CIPHERTEXT_OVERHEAD_BYTES)
    expect(CIPHERTEXT_OVERHEAD_BYTES).toBe(12 + 168 + 12 + 16)
  })

  test("any payload opens with the key, and then with the seed alone to the same plaintext", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.integer({ min: 1, max: 0xff_ff_ff_ff }), (given, epoch) => {
        const ciphertext = parseCiphertext(seal(given, epoch))
        expect(ciphertext.epoch).toBe(epoch)
        const { plaintext, seed } = openWithKey(engine, ciphertext, identity, key)
        expect(hex(plaintext)).toBe(hex(given))
        expect(hex(openWithSeed(engine, ciphertext, identity, seed))).toBe(hex(given))
      }),
      { numRuns: Math.ceil(runs / 3) }
    )
  })

  test("one payload is never sealed to the same bytes twice", () => {
    expect(hex(seal(payload))).not.toBe(hex(seal(payload)))
  })

  test("no ciphertext with a flipped bit opens, with the key or with the seed", () => {
    const { seed } = openWithKey(engine, parseCiphertext(sealed), identity, key)
    fc.assert(
      fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
        const bad = flipBit(sealed, bit)
        expect(reasonOf(() => openWithKey(engine, parseCiphertext(bad), identity, key))).not.toBe("opened")
        expect(reasonOf(() => openWithSeed(engine, parseCiphertext(bad), identity, seed))).not.toBe("opened")
      }),
      { numRuns: runs }
    )
  })

  test("no seed with a flipped bit opens", () => {
    const ciphertext = parseCiphertext(sealed)
    const { seed } = openWithKey(engine, ciphertext, identity, key)
    fc.assert(
      fc.property(fc.nat(255), (bit) => {
        expect(reasonOf(() => openWithSeed(engine, ciphertext, identity, flipBit(seed, bit)))).toBe("wrong opening")
      }),
      { numRuns: runs }
    )
    expect(reasonOf(() => openWithSeed(engine, ciphertext, identity, seed.subarray(1)))).toBe("wrong opening")
  })

  test("the key of another handle does not open it, nor does the right key under another identity", () => {
    const other = anIdentity()
    expect(reasonOf(() => openWithKey(engine, parseCiphertext(sealed), identity, keyFor(other)))).toBe("wrong opening")
    expect(reasonOf(() => openWithKey(engine, parseCiphertext(sealed), other, key))).toBe("payload not authentic")
  })

  test("the parser names what is wrong", () => {
    const changed = (at: number, value: number) => reasonOf(() => parseCiphertext(sealed.with(at, value)))
    expect(changed(3, 0x32)).toBe("not a PCT1 ciphertext")
    expect(changed(4, 2)).toBe("unknown suite")
    expect(changed(5, 1)).toBe("unknown flags")
    expect(changed(11, 0xa9)).toBe("wrong length of the encrypted key")
    expect(changed(12, 0)).toBe("not an IBE ciphertext")
    expect(reasonOf(() => parseCiphertext(sealed.subarray(0, CIPHERTEXT_OVERHEAD_BYTES - 1)))).toBe("too short")
    expect(reasonOf(() => parseCiphertext(new Uint8Array(0)))).toBe("too short")
    expect(reasonOf(() => parseCiphertext(new Uint8Array(16 * 1024 * 1024 + 1)))).toBe("too long")
    expect(reasonOf(() => openWithKey(engine, parseCiphertext(sealed.with(20, 0)), identity, key))).toBe("c1 is not a point")
  })

  test("any bytes at all are parsed or refused, never a crash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(220), (noise, keep) => {
        const given = Uint8Array.of(...sealed.subarray(0, keep), ...noise)
        expect(typeof reasonOf(() => openWithKey(engine, parseCiphertext(given), identity, key))).toBe("string")
      }),
      { numRuns: runs }
    )
  })

  test("an error says nothing of keys, seeds or plaintext", () => {
    const { seed } = openWithKey(engine, parseCiphertext(sealed), identity, key)
    try {
      openWithSeed(engine, parseCiphertext(sealed.with(sealed.length - 1, sealed.at(-1)! ^ 1)), identity, seed)
      expect.fail("does not open")
    } catch (error) {
      const said = `${String(error)} ${JSON.stringify(error)} ${error instanceof Error ? error.message : ""}`
      expect(said).not.toContain(hex(seed))
      expect(said).not.toContain("forty-two")
    }
  })
})
