/**
 * What every `Bls12381Engine` promises; and, beside the reference, that it answers with the same bytes and refuses the
 * same bytes.
 */
import assert from "node:assert/strict"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ATTESTATION_DST } from "../../src/threshold/attest.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { DECRYPTION_DST } from "../../src/threshold/identity.ts"
import { nobleEngine as reference } from "../../src/threshold/noble-engine.ts"
import { PointRejected } from "../../src/threshold/point-rejected.ts"
import { GROUP_ORDER, scalarBytes } from "../../src/threshold/scalar.ts"
import rfc9380 from "../vectors/rfc9380-bls12381-g1.json" with { type: "json" }
import { flipBit } from "./dealt-committee.ts"
import signatures from "../vectors/bls-signatures-min-sig.json" with { type: "json" }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"))
const P = bls12_381.fields.Fp.ORDER

/** 0, 1, 2, r-1 and uniform ones. */
const publicScalar = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 255n, 65_535n, 65_536n),
  fc.constantFrom(GROUP_ORDER / 2n, GROUP_ORDER / 2n + 1n, GROUP_ORDER - 2n, GROUP_ORDER - 1n),
  fc.bigInt({ min: 0n, max: GROUP_ORDER - 1n })
)
const secret = fc.oneof(fc.constantFrom(1n, 2n, GROUP_ORDER - 1n), fc.bigInt({ min: 1n, max: GROUP_ORDER - 1n })).map(scalarBytes)
const message = fc.uint8Array({ maxLength: 300 })

const NOT_A_POINT = "not a point of the subgroup in canonical form"

const reasonOf = (decode: () => unknown): PointRejected["reason"] | "accepted" => {
  try {
    decode()
    return "accepted"
  } catch (error) {
    assert(error instanceof PointRejected, "refusals are typed")
    expect(error.fate).toBe("refuse")
    return error.reason
  }
}

const field = (x: bigint, flags: number): Uint8Array => {
  const encoded = bytes(x.toString(16).padStart(96, "0"))
  encoded[0]! |= flags
  return encoded
}

type Times = Record<"small" | "large", Array<number>>

const elapsed = (call: () => unknown): number => {
  const start = performance.now()
  call()
  return performance.now() - start
}

const median = (times: ReadonlyArray<number>): number => times.toSorted((left, right) => left - right)[times.length >> 1]!

/** The smallest x of a point on E(Fp) that is outside the subgroup, compressed. */
const outsideTheSubgroup = (): Uint8Array => {
  for (let x = 1n; ; x++) {
    let y: bigint
    try {
      y = bls12_381.fields.Fp.sqrt((x ** 3n + 4n) % P)
    } catch {
      continue
    }
    if (!bls12_381.G1.Point.fromAffine({ x, y }).isTorsionFree()) return field(x, 0x80)
  }
}

export const engineLaws = (start: () => Promise<Bls12381Engine>, runs: number): void => {
  describe("a BLS12-381 engine", async () => {
    const engine = await start()
    const g1 = engine.encodeG1(engine.generatorG1)
    const g2 = engine.encodeG2(engine.generatorG2)
    const identityG1 = engine.addG1(engine.generatorG1, engine.negateG1(engine.generatorG1))
    const identityG2 = engine.sumG2([engine.generatorG2], [0n])

    test.each(rfc9380.vectors)("hashes %j to the curve as RFC 9380 appendix J.9.1 says", (vector) => {
      const tail = "followedBy" in vector && vector.followedBy ? vector.followedBy.character.repeat(vector.followedBy.times) : ""
      const point = engine.hashToG1(Buffer.from(vector.msg + tail), rfc9380.dst)
      expect(hex(engine.encodeG1ForChain(point))).toBe("0".repeat(32) + vector.x + "0".repeat(32) + vector.y)
    })

    test.each(signatures.vectors)("accepts the signature of $source and refuses it for another message", (vector) => {
      const signature = engine.decodeG1(bytes(vector.signature))
      const key = engine.decodeG2(bytes(vector.publicKey))
      const holds = (hashed: Uint8Array) =>
        engine.pairingProductIsOne(
          [signature, engine.negateG1(engine.hashToG1(hashed, vector.dst))],
          [engine.generatorG2, engine.prepareG2(key)]
        )
      expect(holds(bytes(vector.message))).toBe(true)
      expect(holds(bytes(`${vector.message}00`))).toBe(false)
    })

    test("hashes any message under our tags to what the reference hashes it to", () => {
      fc.assert(
        fc.property(message, fc.constantFrom(DECRYPTION_DST, ATTESTATION_DST), (given, dst) => {
          expect(hex(engine.encodeG1(engine.hashToG1(given, dst)))).toBe(hex(reference.encodeG1(reference.hashToG1(given, dst))))
        }),
        { numRuns: runs }
      )
    })

    test("multiplies by a secret to what the reference says, in both groups", () => {
      fc.assert(
        fc.property(message, secret, (given, scalar) => {
          const point = engine.hashToG1(given, DECRYPTION_DST)
          const same = reference.hashToG1(given, DECRYPTION_DST)
          expect(hex(engine.encodeG1(engine.secretMultipleG1(point, scalar)))).toBe(
            hex(reference.encodeG1(reference.secretMultipleG1(same, scalar)))
          )
          expect(hex(engine.encodeG2(engine.secretMultipleG2(engine.generatorG2, scalar)))).toBe(
            hex(reference.encodeG2(reference.secretMultipleG2(reference.generatorG2, scalar)))
          )
        }),
        { numRuns: runs }
      )
    })

    test("sums any points with any scalars to what the reference says, in both groups", () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(secret, publicScalar), { minLength: 1, maxLength: 9 }), (terms) => {
          const scalars = terms.map(([, scalar]) => scalar)
          const g1s = (of: Bls12381Engine) => terms.map(([factor]) => of.secretMultipleG1(of.generatorG1, factor))
          const g2s = (of: Bls12381Engine) => terms.map(([factor]) => of.secretMultipleG2(of.generatorG2, factor))
          expect(hex(engine.encodeG1(engine.sumG1(g1s(engine), scalars)))).toBe(
            hex(reference.encodeG1(reference.sumG1(g1s(reference), scalars)))
          )
          expect(hex(engine.encodeG2(engine.sumG2(g2s(engine), scalars)))).toBe(
            hex(reference.encodeG2(reference.sumG2(g2s(reference), scalars)))
          )
        }),
        { numRuns: Math.ceil(runs / 3) }
      )
    })

    test("sums more points than fit in one call", () => {
      const scalars = Array.from({ length: 300 }, (_, index) => GROUP_ORDER / BigInt(index + 3))
      const total = scalars.reduce((sum, scalar) => (sum + scalar) % GROUP_ORDER, 0n)
      const sum = engine.sumG1(scalars.map(() => engine.generatorG1), scalars)
      expect(engine.equalG1(sum, engine.secretMultipleG1(engine.generatorG1, scalarBytes(total)))).toBe(true)
    })

    test("multiplies the G2 generator by a public scalar as it does by a secret one", () => {
      fc.assert(
        fc.property(secret, (scalar) => {
          const multiple = engine.publicMultipleG2(BigInt(`0x${hex(scalar)}`))
          expect(engine.equalG2(multiple, engine.secretMultipleG2(engine.generatorG2, scalar))).toBe(true)
        }),
        { numRuns: runs }
      )
      expect(engine.isIdentityG2(engine.publicMultipleG2(0n))).toBe(true)
    })

    test("takes as long for a small secret as for a large one", () => {
      const point = engine.hashToG1(new Uint8Array(1), DECRYPTION_DST)
      const right = engine.decodeG2(g2)
      const [small, large] = [scalarBytes(1n), scalarBytes(GROUP_ORDER / 3n)]
      const times = { g1: { small: [], large: [] }, g2: { small: [], large: [] } } as Record<"g1" | "g2", Times>
      for (let round = 0; round < 41; round++) {
        for (const [size, scalar] of [["small", small], ["large", large]] as const) {
          times.g1[size].push(elapsed(() => engine.secretMultipleG1(point, scalar)))
          times.g2[size].push(elapsed(() => engine.secretMultipleG2(right, scalar)))
        }
      }
      // A multiplication that looks at the scalar's length is eight times faster for 1; half is far from both.
      expect(median(times.g1.small)).toBeGreaterThan(median(times.g1.large) / 2)
      expect(median(times.g2.small)).toBeGreaterThan(median(times.g2.large) / 2)
    })

    test("encodes for the chain what the reference encodes", () => {
      fc.assert(
        fc.property(secret, (scalar) => {
          const forChain = (of: Bls12381Engine) =>
            hex(of.encodeG1ForChain(of.secretMultipleG1(of.generatorG1, scalar))) +
            hex(of.encodeG2ForChain(of.secretMultipleG2(of.generatorG2, scalar)))
          expect(forChain(engine)).toBe(forChain(reference))
        }),
        { numRuns: Math.ceil(runs / 2) }
      )
    })

    test("decodes what it encodes", () => {
      fc.assert(
        fc.property(secret, (scalar) => {
          const left = engine.secretMultipleG1(engine.generatorG1, scalar)
          const right = engine.secretMultipleG2(engine.generatorG2, scalar)
          expect(engine.equalG1(engine.decodeG1(engine.encodeG1(left)), left)).toBe(true)
          expect(engine.equalG2(engine.decodeG2(engine.encodeG2(right)), right)).toBe(true)
        }),
        { numRuns: runs }
      )
    })

    test("is bilinear: e(aP, bQ) * e(-abP, Q) = 1, and nothing else is 1, with prepared and unprepared points", () => {
      fc.assert(
        fc.property(secret, secret, fc.boolean(), fc.boolean(), (a, b, isPrepared, isOtherPrepared) => {
          const prepare = (point: typeof engine.generatorG2, really: boolean) => (really ? engine.prepareG2(point) : point)
          const q = engine.hashToG1(a, DECRYPTION_DST)
          const left = engine.secretMultipleG1(q, a)
          const right = prepare(engine.secretMultipleG2(engine.generatorG2, b), isPrepared)
          const whole = engine.negateG1(engine.secretMultipleG1(left, b))
          const plain = prepare(engine.decodeG2(g2), isOtherPrepared)
          expect(engine.pairingProductIsOne([left, whole], [right, plain])).toBe(true)
          expect(engine.pairingProductIsOne([left], [right])).toBe(false)
          expect(engine.pairingProductIsOne([left, q, whole, engine.negateG1(q)], [right, plain, plain, plain])).toBe(true)
        }),
        { numRuns: Math.ceil(runs / 4) }
      )
    })

    test("takes the identity as a factor of 1, and no pairs as the empty product", () => {
      expect(engine.pairingProductIsOne([], [])).toBe(true)
      expect(engine.pairingProductIsOne([identityG1], [engine.generatorG2])).toBe(true)
      expect(engine.pairingProductIsOne([engine.generatorG1], [identityG2])).toBe(true)
      expect(engine.pairingProductIsOne([engine.generatorG1, identityG1], [engine.generatorG2, engine.generatorG2])).toBe(false)
    })

    test("checks a product of more pairs than fit in one call", () => {
      const [plus, minus] = [engine.generatorG1, engine.negateG1(engine.generatorG1)]
      const lefts = Array.from({ length: 70 }, (_, index) => (index % 2 === 0 ? plus : minus))
      const right = engine.decodeG2(g2)
      expect(engine.pairingProductIsOne(lefts, lefts.map(() => right))).toBe(true)
    })

    test("serialises a pairing as the reference does", () => {
      fc.assert(
        fc.property(secret, message, (scalar, given) => {
          const pairing = (of: Bls12381Engine) =>
            hex(of.pairingBytes(of.hashToG1(given, DECRYPTION_DST), of.secretMultipleG2(of.generatorG2, scalar)))
          expect(pairing(engine)).toBe(pairing(reference))
        }),
        { numRuns: Math.ceil(runs / 4) }
      )
    })

    test("writes the identity and never reads it", () => {
      expect(hex(engine.encodeG1(identityG1))).toBe(`c0${"00".repeat(47)}`)
      expect(hex(engine.encodeG2(identityG2))).toBe(`c0${"00".repeat(95)}`)
      expect(hex(engine.encodeG1ForChain(identityG1))).toBe("00".repeat(128))
      expect(hex(engine.encodeG2ForChain(identityG2))).toBe("00".repeat(256))
      expect(reasonOf(() => engine.decodeG1(engine.encodeG1(identityG1)))).toBe("the identity")
      expect(reasonOf(() => engine.decodeG2(engine.encodeG2(identityG2)))).toBe("the identity")
    })

    const bad: ReadonlyArray<readonly [name: string, group: "G1" | "G2", given: Uint8Array, reason: PointRejected["reason"]]> = [
      ["nothing", "G1", new Uint8Array(0), "wrong length"],
      ["a byte too few", "G1", g1.subarray(1), "wrong length"],
      ["a byte too many", "G1", Uint8Array.of(...g1, 0), "wrong length"],
      ["the uncompressed form", "G1", bls12_381.G1.Point.BASE.toBytes(false), "wrong length"],
      ["the compression flag missing", "G1", g1.with(0, g1[0]! & 0x7f), NOT_A_POINT],
      ["the identity with a sign", "G1", new Uint8Array(48).with(0, 0xe0), NOT_A_POINT],
      ["the identity with a rest", "G1", new Uint8Array(48).with(0, 0xc0).with(47, 1), NOT_A_POINT],
      ["x = p", "G1", field(P, 0x80), NOT_A_POINT],
      ["x of no point", "G1", field(1n, 0x80), NOT_A_POINT],
      ["x = 0, a point of order 3", "G1", field(0n, 0x80), NOT_A_POINT],
      ["a point outside the subgroup", "G1", outsideTheSubgroup(), NOT_A_POINT],
      ["a G2 point", "G1", g2, "wrong length"],
      ["a G1 point", "G2", g1, "wrong length"],
      ["the identity with a rest", "G2", new Uint8Array(96).with(0, 0xc0).with(95, 1), NOT_A_POINT],
      ["a byte too many", "G2", Uint8Array.of(...g2, 0), "wrong length"],
      ["c1 = p", "G2", Uint8Array.of(...field(P, 0x80), ...g2.subarray(48)), NOT_A_POINT],
      ["c0 = p", "G2", Uint8Array.of(...g2.subarray(0, 48), ...field(P, 0)), NOT_A_POINT],
      ["flags in c0", "G2", Uint8Array.of(...g2.subarray(0, 48), ...field(1n, 0x80)), NOT_A_POINT],
      ["x of no point", "G2", Uint8Array.of(...field(0n, 0x80), ...field(1n, 0)), NOT_A_POINT],
      ["outside the subgroup", "G2", Uint8Array.of(...field(0n, 0x80), ...field(2n, 0)), NOT_A_POINT]
    ]
    test.each(bad)("refuses %s as a %s point", (_name, group, given, reason) => {
      expect(reasonOf(() => (group === "G1" ? engine.decodeG1(given) : engine.decodeG2(given)))).toBe(reason)
    })

    test("refuses exactly the mutated bytes that the reference refuses", () => {
      fc.assert(
        fc.property(secret, fc.nat(48 * 8 - 1), fc.nat(96 * 8 - 1), (scalar, bit, otherBit) => {
          const left = flipBit(engine.encodeG1(engine.secretMultipleG1(engine.generatorG1, scalar)), bit)
          const right = flipBit(engine.encodeG2(engine.secretMultipleG2(engine.generatorG2, scalar)), otherBit)
          expect(reasonOf(() => engine.decodeG1(left))).toBe(reasonOf(() => reference.decodeG1(left)))
          expect(reasonOf(() => engine.decodeG2(right))).toBe(reasonOf(() => reference.decodeG2(right)))
        }),
        { numRuns: runs }
      )
    })

    test("does not take scalars that are not reduced, nor points of another engine", () => {
      expect(() => engine.sumG1([engine.generatorG1], [GROUP_ORDER])).toThrow()
      expect(() => engine.publicMultipleG2(GROUP_ORDER)).toThrow()
      expect(() => engine.secretMultipleG1(engine.generatorG1, new Uint8Array(31))).toThrow()
      expect(() => engine.secretMultipleG1(engine.generatorG1, new Uint8Array(32).fill(0xff))).toThrow()
      expect(() => engine.encodeG1({} as typeof engine.generatorG1)).toThrow()
      expect(() => engine.encodeG2({} as typeof engine.generatorG2)).toThrow()
    })
  })
}
