/**
 * The fast engine: mcl-wasm, 4 to 15 times faster than noble on the same operations (bench/crypto.ts). What it does for
 * secrets: a secret scalar is split at random before mcl sees it (`mcl-sums.ts`), and our copies in mcl's memory are
 * wiped; what mcl leaves on its own stack is not, and nobody has proved anything about WebAssembly's timing.
 */
import assert from "node:assert/strict"
import type { Bls12381Engine, G1Point, G2Point } from "../../threshold/engine.ts"
import { PointRejected } from "../../threshold/point-rejected.ts"
import { fixedBaseG2 } from "./mcl-fixed-base.ts"
import { startMcl } from "./mcl-module.ts"
import { pairingBytes, productIsOne } from "./mcl-pairing.ts"
import { asG1, asG2, FP_BYTES, g1, G1_BYTES, g2, G2_BYTES } from "./mcl-points.ts"
import { type Group, secretMultiple, sum } from "./mcl-sums.ts"

export const createMclEngine = async (): Promise<Bls12381Engine> => {
  const mcl = await startMcl()
  const { call } = mcl
  const G1: Group = {
    bytes: G1_BYTES,
    add: call._mclBnG1_add,
    neg: call._mclBnG1_neg,
    mul: call._mclBnG1_mul,
    mulVec: call._mclBnG1_mulVec,
    clear: call._mclBnG1_clear
  }
  const G2: Group = {
    bytes: G2_BYTES,
    add: call._mclBnG2_add,
    neg: call._mclBnG2_neg,
    mul: call._mclBnG2_mul,
    mulVec: call._mclBnG2_mulVec,
    clear: call._mclBnG2_clear
  }
  const onPoint = <Result>(limbs: Uint8Array, use: (address: number) => Result): Result => {
    mcl.begin()
    return use(mcl.put(limbs))
  }

  const decode = (
    name: "G1" | "G2",
    bytes: Uint8Array,
    length: number,
    size: number,
    from: (out: number, bytes: number, length: number) => number,
    isZero: (point: number) => number
  ): Uint8Array => {
    const rejected = (reason: PointRejected["reason"]) => new PointRejected({ group: name, bytesGiven: bytes.length, reason })
    if (bytes.length !== length) throw rejected("wrong length") // mcl would ignore bytes that follow
    mcl.begin()
    const out = mcl.take(size)
    if (from(out, mcl.put(bytes), length) !== length) throw rejected("not a point of the subgroup in canonical form")
    if (isZero(out) === 1) {
      // mcl reads 0xc0 as the identity whatever the last bytes are.
      const isCanonical = bytes[0] === 0xc0 && bytes.subarray(1).every((byte) => byte === 0)
      throw rejected(isCanonical ? "the identity" : "not a point of the subgroup in canonical form")
    }
    return mcl.read(out, size)
  }
  const encode = (limbs: Uint8Array, length: number, to: (out: number, lengthMax: number, point: number) => number): Uint8Array =>
    onPoint(limbs, (point) => {
      const out = mcl.take(length)
      assert(to(out, length, point) === length, "a point is written")
      return mcl.read(out, length)
    })
  const encodeForChain = (limbs: Uint8Array, normalize: (out: number, point: number) => void, coordinates: number): Uint8Array =>
    onPoint(limbs, (point) => {
      const encoded = new Uint8Array(64 * coordinates)
      normalize(point, point) // the identity becomes (0, 0), its EIP-2537 encoding
      const out = mcl.take(FP_BYTES)
      for (let index = 0; index < coordinates; index++) {
        assert(call._mclBnFp_serialize(out, FP_BYTES, point + FP_BYTES * index) === FP_BYTES, "a coordinate is written")
        encoded.set(mcl.read(out, FP_BYTES), 64 * index + 16)
      }
      return encoded
    })

  const domainTags = new Map<string, { readonly address: number; readonly length: number }>()
  const domainTag = (dst: string) => {
    const known = domainTags.get(dst)
    if (known !== undefined) return known
    const bytes = new TextEncoder().encode(dst)
    assert(bytes.length > 0 && bytes.length <= 255, "a domain tag is 1..255 bytes") // RFC 9380 section 5.3.3 has the rest
    assert(domainTags.size < 16, "domain tags are a few constants")
    const tag = { address: mcl.keep(bytes.length), length: bytes.length }
    mcl.write(tag.address, bytes)
    domainTags.set(dst, tag)
    return tag
  }

  const prepareG2 = (point: G2Point): G2Point => {
    const { limbs, lines } = g2(point)
    if (lines !== undefined) return point
    return onPoint(limbs, (address) => {
      const out = mcl.take(mcl.linesBytes)
      call._mclBn_precomputeG2(out, address)
      return asG2(limbs, mcl.read(out, mcl.linesBytes))
    })
  }
  const decodeG1 = (bytes: Uint8Array): G1Point =>
    asG1(decode("G1", bytes, 48, G1_BYTES, call._mclBnG1_deserialize, call._mclBnG1_isZero))
  const decodeG2 = (bytes: Uint8Array): G2Point =>
    asG2(decode("G2", bytes, 96, G2_BYTES, call._mclBnG2_deserialize, call._mclBnG2_isZero))
  const isIdentityG1 = (point: G1Point): boolean => onPoint(g1(point).limbs, call._mclBnG1_isZero) === 1
  const isIdentityG2 = (point: G2Point): boolean => onPoint(g2(point).limbs, call._mclBnG2_isZero) === 1

  const generatorG1 = decodeG1(fromHexConstant(GENERATOR_G1))
  const generatorG2 = prepareG2(decodeG2(fromHexConstant(GENERATOR_G2)))
  const multipleOfGenerator = fixedBaseG2(mcl, g2(generatorG2).limbs)

  return {
    name: "mcl",
    hashToG1: (message, dst) => {
      const tag = domainTag(dst)
      mcl.begin()
      const out = mcl.take(G1_BYTES)
      const done = call._mclBnG1_hashAndMapToWithDst(out, mcl.put(message), message.length, tag.address, tag.length)
      assert(done === 0, "a message is hashed to the curve")
      return asG1(mcl.read(out, G1_BYTES))
    },
    decodeG1,
    decodeG2,
    encodeG1: (point) => encode(g1(point).limbs, 48, call._mclBnG1_serialize),
    encodeG2: (point) => encode(g2(point).limbs, 96, call._mclBnG2_serialize),
    encodeG1ForChain: (point) => encodeForChain(g1(point).limbs, call._mclBnG1_normalize, 2),
    encodeG2ForChain: (point) => encodeForChain(g2(point).limbs, call._mclBnG2_normalize, 4),
    generatorG1,
    generatorG2,
    isIdentityG1,
    isIdentityG2,
    equalG1: (left, right) =>
      onPoint(g1(left).limbs, (address) => call._mclBnG1_isEqual(address, mcl.put(g1(right).limbs)) === 1),
    equalG2: (left, right) =>
      onPoint(g2(left).limbs, (address) => call._mclBnG2_isEqual(address, mcl.put(g2(right).limbs)) === 1),
    addG1: (left, right) =>
      onPoint(g1(left).limbs, (address) => {
        call._mclBnG1_add(address, address, mcl.put(g1(right).limbs))
        return asG1(mcl.read(address, G1_BYTES))
      }),
    negateG1: (point) =>
      onPoint(g1(point).limbs, (address) => {
        call._mclBnG1_neg(address, address)
        return asG1(mcl.read(address, G1_BYTES))
      }),
    sumG1: (points, scalars) => asG1(sum(mcl, G1, points.map((point) => g1(point).limbs), scalars)),
    sumG2: (points, scalars) => asG2(sum(mcl, G2, points.map((point) => g2(point).limbs), scalars)),
    publicMultipleG2: (scalar) => asG2(multipleOfGenerator(scalar)),
    secretMultipleG1: (point, scalar) => asG1(secretMultiple(mcl, G1, g1(point).limbs, scalar)),
    secretMultipleG2: (point, scalar) => asG2(secretMultiple(mcl, G2, g2(point).limbs, scalar)),
    prepareG2,
    pairingProductIsOne: (left, right) => {
      assert(left.length === right.length, "one G2 point for each G1 point")
      const pairs = left
        .map((point, index) => ({ point, other: right[index]! }))
        .filter(({ point, other }) => !isIdentityG1(point) && !isIdentityG2(other)) // e(0, Q) = 1
        .map(({ point, other }) => ({ left: g1(point), right: g2(other) }))
      if (pairs.length === 0) return true
      return productIsOne(mcl, pairs)
    },
    pairingBytes: (left, right) => {
      assert(!isIdentityG1(left) && !isIdentityG2(right), "no mask comes from the identity")
      return pairingBytes(mcl, g1(left), g2(right))
    }
  }
}

const fromHexConstant = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))

// draft-irtf-cfrg-pairing-friendly-curves-11 section 4.2.1, compressed.
const GENERATOR_G1 = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
const GENERATOR_G2 =
  "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e" +
  "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
