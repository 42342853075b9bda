/**
 * A part of a BLS signature in G1: a public decryption share S_i = x_i*H(id), or a part of an attestation (protocol.md
 * sections 5, 6).
 */
import type { Bls12381Engine, G1Point, G2Point, PublicScalar, SecretScalar } from "./engine.ts"
import { randomCoefficient } from "./scalar.ts"
import type { ShareScheme } from "./share-scheme.ts"

/** 48 bytes: the secret times the hashed message. */
export const makeShare = (engine: Bls12381Engine, secret: SecretScalar, hashed: G1Point): Uint8Array =>
  engine.encodeG1(engine.secretMultipleG1(hashed, secret))

/** One 128-bit coefficient for each claim; a lone claim needs none. */
export const coefficientsFor = (count: number): ReadonlyArray<PublicScalar> =>
  count === 1 ? [1n] : Array.from({ length: count }, () => randomCoefficient())

/** sum(scalars[i] * points[i]) that leaves a lone point with scalar 1 alone. */
export const weighted = (engine: Bls12381Engine, points: ReadonlyArray<G1Point>, scalars: ReadonlyArray<PublicScalar>): G1Point =>
  points.length === 1 && scalars[0] === 1n ? points[0]! : engine.sumG1(points, scalars)

/** e(S, G2) = e(H, pk). The statement is the hashed message. */
export const signatureScheme: ShareScheme<G1Point, G1Point> = {
  read: (engine, bytes) => engine.decodeG1(bytes),
  write: (engine, part) => engine.encodeG1(part),
  interpolate: weighted,
  allHold: (engine, publicKey, claims) => {
    if (claims.length === 0) return true
    const coefficients = coefficientsFor(claims.length)
    const signature = weighted(engine, claims.map((claim) => claim.part), coefficients)
    const hashed = weighted(engine, claims.map((claim) => claim.statement), coefficients)
    return engine.pairingProductIsOne([signature, engine.negateG1(hashed)], [engine.generatorG2, publicKey])
  }
}

/** Whether 48 bytes are node i's share for `hashed`. Throws `PointRejected`. */
export const verifyShare = (engine: Bls12381Engine, verificationKey: G2Point, hashed: G1Point, share: Uint8Array): boolean =>
  signatureScheme.allHold(engine, verificationKey, [{ statement: hashed, part: signatureScheme.read(engine, share) }])
