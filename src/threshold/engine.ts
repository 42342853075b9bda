/**
 * The port to a BLS12-381 implementation: everything the mathematics asks of the curve, and nothing else.
 * `noble-engine.ts` is the reference; `adapters/worker-threads/mcl-engine.ts` is the fast one;
 * `test/threshold/engine.laws.ts` holds both to the same promises.
 *
 * Points are opaque and belong to the engine that made them, so that one point is decoded and checked once, however
 * often it is used. A point that came from outside has passed `decode*`: canonical, on the curve, in the prime-order
 * subgroup, not the identity.
 */

declare const group: unique symbol

/** An element of the prime-order subgroup G1, possibly the identity when it was computed. */
export interface G1Point {
  readonly [group]: "G1"
}

/** An element of the prime-order subgroup G2, possibly the identity when it was computed. */
export interface G2Point {
  readonly [group]: "G2"
}

/**
 * A number in 0..r-1 that anybody may know: an interpolation weight, a batch coefficient. Engines may take variable time over it.
 * Secrets are `SecretScalar`s, never these.
 */
export type PublicScalar = bigint

/** A secret in 1..r-1 as 32 big-endian bytes, so that its owner can overwrite it. See `scalar.ts`. */
export type SecretScalar = Uint8Array

export interface Bls12381Engine {
  readonly name: string

  /** hash_to_curve of RFC 9380 section 3, suite BLS12381G1_XMD:SHA-256_SSWU_RO_ (section 8.8.1) under the tag `dst`. */
  readonly hashToG1: (message: Uint8Array, dst: string) => G1Point

  /** 48 bytes, ZCash compressed form. Throws `PointRejected`. */
  readonly decodeG1: (bytes: Uint8Array) => G1Point
  /** 96 bytes, ZCash compressed form. Throws `PointRejected`. */
  readonly decodeG2: (bytes: Uint8Array) => G2Point
  /** 48 bytes. The identity is 0xc0 and zeros, which `decodeG1` refuses. */
  readonly encodeG1: (point: G1Point) => Uint8Array
  /** 96 bytes. */
  readonly encodeG2: (point: G2Point) => Uint8Array
  /** 128 bytes, what the EIP-2537 precompiles read: x and y, each padded to 64 bytes. The identity is all zeros. */
  readonly encodeG1ForChain: (point: G1Point) => Uint8Array
  /** 256 bytes, EIP-2537: x.c0, x.c1, y.c0, y.c1, each padded to 64 bytes. */
  readonly encodeG2ForChain: (point: G2Point) => Uint8Array

  readonly generatorG1: G1Point
  readonly generatorG2: G2Point
  readonly isIdentityG1: (point: G1Point) => boolean
  readonly isIdentityG2: (point: G2Point) => boolean
  readonly equalG1: (left: G1Point, right: G1Point) => boolean
  readonly equalG2: (left: G2Point, right: G2Point) => boolean

  readonly addG1: (left: G1Point, right: G1Point) => G1Point
  readonly negateG1: (point: G1Point) => G1Point
  /** sum(scalars[i] * points[i]); variable time. Both lists have one length, at least 1. */
  readonly sumG1: (points: ReadonlyArray<G1Point>, scalars: ReadonlyArray<PublicScalar>) => G1Point
  readonly sumG2: (points: ReadonlyArray<G2Point>, scalars: ReadonlyArray<PublicScalar>) => G2Point
  /** scalar * generator; variable time, from a table. */
  readonly publicMultipleG2: (scalar: PublicScalar) => G2Point
  /**
   * scalar * point, the scalar split at random (a + (scalar - a)) so that the time taken says nothing of it that can be
   * measured. No engine in JavaScript or WebAssembly can promise more.
   */
  readonly secretMultipleG1: (point: G1Point, scalar: SecretScalar) => G1Point
  readonly secretMultipleG2: (point: G2Point, scalar: SecretScalar) => G2Point

  /** The same point, made fast for `pairingProductIsOne`. For keys that live as long as the process. */
  readonly prepareG2: (point: G2Point) => G2Point
  /** Whether the product of e(left[i], right[i]) is 1: any number of pairings, one final exponentiation. */
  readonly pairingProductIsOne: (left: ReadonlyArray<G1Point>, right: ReadonlyArray<G2Point>) => boolean
  /**
   * e(left, right) as 576 bytes: twelve big-endian field elements, the highest coefficient of the tower Fp2-Fp6-Fp12 first, as
   * @dfinity/vetkeys (and the Rust crate ic_bls12_381) serialise it for their IBE mask.
   */
  readonly pairingBytes: (left: G1Point, right: G2Point) => Uint8Array
}
