/**
 * The reference engine, on the audited @noble/curves: readable, portable, and what every other engine is compared with.
 * Secrets are multiplied by noble's constant-time algorithm and split at random before; the bigints underneath cannot
 * promise constant time.
 */
import assert from "node:assert/strict"
import { mulAddUnsafe, pippenger } from "@noble/curves/abstract/curve.js"
import type { WeierstrassPoint } from "@noble/curves/abstract/weierstrass.js"
import { bls12_381 } from "@noble/curves/bls12-381.js"
import type { Bls12381Engine, G1Point, G2Point, SecretScalar } from "./engine.ts"
import { PointRejected } from "./point-rejected.ts"
import { bigintOf, GROUP_ORDER, randomSecret, SCALAR_BYTES } from "./scalar.ts"

const { G1, G2, fields } = bls12_381
const { Fp, Fp12 } = fields

type NobleG1 = WeierstrassPoint<bigint>
type NobleG2 = InstanceType<typeof G2.Point>

// The opaque types of the port are noble's own points here; a point of another engine is a mistake of ours.
const g1 = (point: G1Point): NobleG1 => {
  assert(point instanceof G1.Point, "a G1 point of this engine")
  return point as unknown as NobleG1
}
const g2 = (point: G2Point): NobleG2 => {
  assert(point instanceof G2.Point, "a G2 point of this engine")
  return point as unknown as NobleG2
}
const asG1 = (point: NobleG1): G1Point => point as unknown as G1Point
const asG2 = (point: NobleG2): G2Point => point as unknown as G2Point

const decode = <P extends { assertValidity: () => void; is0: () => boolean }>(
  group: "G1" | "G2",
  bytes: Uint8Array,
  length: number,
  fromBytes: (bytes: Uint8Array) => P
): P => {
  const rejected = (reason: PointRejected["reason"]) => new PointRejected({ group, bytesGiven: bytes.length, reason })
  // noble would also take the uncompressed form: one point, one encoding.
  if (bytes.length !== length) throw rejected("wrong length")
  let point: P
  try {
    point = fromBytes(bytes)
    if (!point.is0()) point.assertValidity() // on the curve and in the subgroup
  } catch {
    throw rejected("not a point of the subgroup in canonical form")
  }
  if (point.is0()) throw rejected("the identity")
  return point
}

/** Above this many points the bucket method wins (measured, noble 2.4). */
const BUCKETS_FROM = 64

const padded = (bytes: Uint8Array): Uint8Array => {
  const wide = new Uint8Array(64)
  wide.set(bytes, 64 - bytes.length)
  return wide
}

/** noble does not write the identity. */
const identityBytes = (length: number): Uint8Array => new Uint8Array(length).with(0, 0xc0)

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

/**
 * A secret as the sum of two numbers, each as good as random. noble's `multiply` takes the same steps for every scalar,
 * but bigints make steps with zeros cheaper: 1 takes a quarter of the time of most (noble 2.4.0, which blinds by itself
 * only on curves of cofactor 1).
 */
const split = (scalar: SecretScalar): readonly [mask: bigint, rest: bigint] => {
  assert(scalar.length === SCALAR_BYTES, "a secret scalar is 32 bytes")
  const secret = bigintOf(scalar)
  assert(secret > 0n && secret < GROUP_ORDER, "a secret scalar is in 1..r-1")
  const mask = bigintOf(randomSecret())
  return [mask, fields.Fr.sub(secret, mask)]
}

const assertTerms = (points: ReadonlyArray<unknown>, scalars: ReadonlyArray<bigint>): void =>
  assert(points.length > 0 && points.length === scalars.length, "one scalar for each point")

/** Identity factors are 1; noble refuses them, we leave them out. */
const pairsOf = (left: ReadonlyArray<G1Point>, right: ReadonlyArray<G2Point>) => {
  assert(left.length === right.length, "one G2 point for each G1 point")
  return left
    .map((point, index) => ({ g1: g1(point), g2: g2(right[index]!) }))
    .filter((pair) => !pair.g1.is0() && !pair.g2.is0())
}

export const nobleEngine: Bls12381Engine = {
  name: "noble",
  hashToG1: (message, dst) => asG1(G1.hashToCurve(message, { DST: dst })),
  decodeG1: (bytes) => asG1(decode("G1", bytes, 48, (input) => G1.Point.fromBytes(input))),
  decodeG2: (bytes) => asG2(decode("G2", bytes, 96, (input) => G2.Point.fromBytes(input))),
  encodeG1: (point) => (g1(point).is0() ? identityBytes(48) : g1(point).toBytes(true)),
  encodeG2: (point) => (g2(point).is0() ? identityBytes(96) : g2(point).toBytes(true)),
  encodeG1ForChain: (point) => {
    const { x, y } = g1(point).toAffine() // (0, 0) for the identity, which is its EIP-2537 encoding too
    return joined([x, y].map((part) => padded(Fp.toBytes(part))))
  },
  encodeG2ForChain: (point) => {
    const { x, y } = g2(point).toAffine()
    return joined([x.c0, x.c1, y.c0, y.c1].map((part) => padded(Fp.toBytes(part))))
  },
  generatorG1: asG1(G1.Point.BASE),
  generatorG2: asG2(G2.Point.BASE),
  isIdentityG1: (point) => g1(point).is0(),
  isIdentityG2: (point) => g2(point).is0(),
  equalG1: (left, right) => g1(left).equals(g1(right)),
  equalG2: (left, right) => g2(left).equals(g2(right)),
  addG1: (left, right) => asG1(g1(left).add(g1(right))),
  negateG1: (point) => asG1(g1(point).negate()),
  sumG1: (points, scalars) => {
    assertTerms(points, scalars)
    const sum = points.length >= BUCKETS_FROM ? pippenger : mulAddUnsafe
    return asG1(sum(G1.Point, points.map(g1), [...scalars]))
  },
  sumG2: (points, scalars) => {
    assertTerms(points, scalars)
    const sum = points.length >= BUCKETS_FROM ? pippenger : mulAddUnsafe
    return asG2(sum(G2.Point, points.map(g2), [...scalars]))
  },
  publicMultipleG2: (scalar) => asG2(G2.Point.BASE.multiplyUnsafe(scalar)),
  secretMultipleG1: (point, scalar) => {
    const [mask, rest] = split(scalar)
    return asG1(g1(point).multiply(mask).add(g1(point).multiply(rest)))
  },
  secretMultipleG2: (point, scalar) => {
    const [mask, rest] = split(scalar)
    return asG2(g2(point).multiply(mask).add(g2(point).multiply(rest)))
  },
  prepareG2: (point) => point, // noble remembers the lines of a point by itself
  pairingProductIsOne: (left, right) => {
    const pairs = pairsOf(left, right)
    return pairs.length === 0 || Fp12.eql(bls12_381.pairingBatch(pairs), Fp12.ONE)
  },
  pairingBytes: (left, right) => {
    const little = Fp12.toBytes(bls12_381.pairing(g1(left), g2(right))) // lowest coefficient first
    const out = new Uint8Array(576)
    for (let index = 0; index < 12; index++) out.set(little.subarray(48 * index, 48 * index + 48), 48 * (11 - index))
    return out
  }
}
