/**
 * User decryption: a share that travels encrypted to the user's transport key and can be verified as it is (protocol.md
 * section 5; the construction of vetKD, eprint 2023/616). The gateway verifies and combines these without ever seeing
 * the key inside.
 */
import assert from "node:assert/strict"
import { hkdfSync } from "node:crypto"
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"
import type { Bls12381Engine, G1Point, G2Point, PublicScalar, SecretScalar } from "./engine.ts"
import { secretFromWideBytes } from "./scalar.ts"
import { coefficientsFor, signatureScheme, weighted } from "./share.ts"
import type { ShareScheme } from "./share-scheme.ts"

export const ENCRYPTED_KEY_BYTES = 192

/** One node's encrypted share, or the whole encrypted key: (r*G1, r*G2, x*H(id) + r*tpk). */
export interface EncryptedKey {
  readonly c1: G1Point
  readonly c2: G2Point
  readonly c3: G1Point
}

export interface TransportStatement {
  /** H(id). */
  readonly hashed: G1Point
  /** tpk, as `readTransportKey` returned it. */
  readonly transportKey: G1Point
}

const INFO = new TextEncoder().encode("portcullis/native/v1/transport")

/**
 * r for one handle of one request, the same every time it is asked for: a node answers a request with the same bytes
 * for ever without remembering that it did. Two requests never share an r, because the request id is the salt. The
 * caller overwrites it after use.
 */
export const deriveTransportScalar = (secret: SecretScalar, requestId: Uint8Array, handle: Uint8Array): SecretScalar => {
  assert(requestId.length === 32 && handle.length === 32, "request ids and handles are 32 bytes")
  const wide = new Uint8Array(hkdfSync("sha256", secret, requestId, Buffer.concat([INFO, handle]), 48))
  const scalar = secretFromWideBytes(wide)
  wide.fill(0)
  return scalar
}

/** 48 bytes from a request. Throws `PointRejected`: a transport key of small order would turn shares into plain text. */
export const readTransportKey = (engine: Bls12381Engine, bytes: Uint8Array): G1Point => engine.decodeG1(bytes)

/** The public half of a transport key: 48 bytes. */
export const transportKeyOf = (engine: Bls12381Engine, secret: SecretScalar): Uint8Array =>
  engine.encodeG1(engine.secretMultipleG1(engine.generatorG1, secret))

/** A node's answer for one handle: 192 bytes. */
export const makeEncryptedShare = (
  engine: Bls12381Engine,
  of: TransportStatement & { readonly secret: SecretScalar; readonly requestId: Uint8Array; readonly handle: Uint8Array }
): Uint8Array => {
  const r = deriveTransportScalar(of.secret, of.requestId, of.handle)
  const encrypted = {
    c1: engine.secretMultipleG1(engine.generatorG1, r),
    c2: engine.secretMultipleG2(engine.generatorG2, r),
    c3: engine.addG1(engine.secretMultipleG1(of.hashed, of.secret), engine.secretMultipleG1(of.transportKey, r))
  }
  r.fill(0)
  return encryptedKeyScheme.write(engine, encrypted)
}

/**
 * e(c1, G2) = e(G1, c2) and e(c3, G2) = e(H, pk) * e(tpk, c2), folded into one product with independent random
 * coefficients a and b: e(sum(a*c1 + b*c3), G2) * e(-sum(b*H), pk) * prod(e(-(a*G1 + b*tpk), c2)) = 1.
 */
export const encryptedKeyScheme: ShareScheme<TransportStatement, EncryptedKey> = {
  read: (engine, bytes) => ({
    c1: engine.decodeG1(bytes.subarray(0, 48)),
    c2: engine.decodeG2(bytes.subarray(48, 144)),
    c3: engine.decodeG1(bytes.subarray(144))
  }),
  write: (engine, { c1, c2, c3 }) =>
    new Uint8Array(Buffer.concat([engine.encodeG1(c1), engine.encodeG2(c2), engine.encodeG1(c3)])),
  interpolate: (engine, parts, weights) => ({
    c1: weighted(engine, parts.map((part) => part.c1), weights),
    c2: interpolateG2(engine, parts.map((part) => part.c2), weights),
    c3: weighted(engine, parts.map((part) => part.c3), weights)
  }),
  allHold: (engine, publicKey, claims) => {
    if (claims.length === 0) return true
    const a = coefficientsFor(claims.length + 1).slice(1)
    const b = coefficientsFor(claims.length)
    const parts = claims.map((claim) => claim.part)
    const left = engine.sumG1([...parts.map((part) => part.c1), ...parts.map((part) => part.c3)], [...a, ...b])
    const hashed = weighted(engine, claims.map((claim) => claim.statement.hashed), b)
    const masks = claims.map(({ statement }, index) =>
      engine.negateG1(engine.sumG1([engine.generatorG1, statement.transportKey], [a[index]!, b[index]!]))
    )
    return engine.pairingProductIsOne(
      [left, engine.negateG1(hashed), ...masks],
      [engine.generatorG2, publicKey, ...parts.map((part) => part.c2)]
    )
  }
}

const interpolateG2 = (engine: Bls12381Engine, points: ReadonlyArray<G2Point>, weights: ReadonlyArray<PublicScalar>): G2Point =>
  points.length === 1 && weights[0] === 1n ? points[0]! : engine.sumG2(points, weights)

/** Whether 192 bytes are node i's encrypted share. Throws `PointRejected`. */
export const verifyEncryptedShare = (
  engine: Bls12381Engine,
  verificationKey: G2Point,
  statement: TransportStatement,
  share: Uint8Array
): boolean => encryptedKeyScheme.allHold(engine, verificationKey, [{ statement, part: encryptedKeyScheme.read(engine, share) }])

/** What the user opened is not the key of this identity under this committee. Nothing of it is returned. */
export class EncryptedKeyRejected extends TaggedError("EncryptedKeyRejected")<Record<never, never>> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return "the encrypted key does not hold this identity's key under this committee"
  }
}

/**
 * The user's side: K = c3 - tsk*c1, verified under pk before it is returned. Throws `PointRejected` or
 * `EncryptedKeyRejected`.
 */
export const openEncryptedKey = (
  engine: Bls12381Engine,
  of: {
    readonly transportSecret: SecretScalar
    readonly encryptedKey: Uint8Array
    readonly publicKey: G2Point
    readonly hashed: G1Point
  }
): G1Point => {
  const { c1, c3 } = encryptedKeyScheme.read(engine, of.encryptedKey)
  const key = engine.addG1(c3, engine.negateG1(engine.secretMultipleG1(c1, of.transportSecret)))
  if (!signatureScheme.allHold(engine, of.publicKey, [{ statement: of.hashed, part: key }])) throw new EncryptedKeyRejected()
  return key
}
