/**
 * What "a share" means, said once for all three uses: a part of a public decryption, of an encrypted key, of an
 * attestation. The same equation holds for one node's part under its verification key and for the whole under the
 * committee's key.
 */
import type { Bls12381Engine, G2Point, PublicScalar } from "./engine.ts"

/** "`part` is what the holder of the key owes for `statement`." */
export interface Claim<Statement, Part> {
  readonly statement: Statement
  readonly part: Part
}

export interface ShareScheme<Statement, Part> {
  /** Bytes from outside, every check made. Throws `PointRejected`. */
  readonly read: (engine: Bls12381Engine, bytes: Uint8Array) => Part
  readonly write: (engine: Bls12381Engine, part: Part) => Uint8Array
  /** The whole from k parts: sum(weights[i] * parts[i]). Nothing is verified. */
  readonly interpolate: (engine: Bls12381Engine, parts: ReadonlyArray<Part>, weights: ReadonlyArray<PublicScalar>) => Part
  /** Whether all claims hold under one key, by one random linear combination. One claim alone is checked exactly. */
  readonly allHold: (engine: Bls12381Engine, publicKey: G2Point, claims: ReadonlyArray<Claim<Statement, Part>>) => boolean
}
