/**
 * Whether a result is right, found out by the node itself: it lends its word to nothing that it has not recomputed. Public: the
 * ciphertext is the registered one and opens, under the given seed, to exactly the plaintext in the result. User: the pairing
 * equations.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { fromHex, type Hex, toHex } from "../domain/hex.ts"
import { PUBLIC_CIPHERTEXT_BYTES_MAX } from "../domain/limits.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import { findFalse } from "../threshold/batch.ts"
import { openWithSeed, parseCiphertext } from "../threshold/ciphertext.ts"
import { CiphertextRejected } from "../threshold/ciphertext-rejected.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { hashIdentity, identityBytes } from "../threshold/identity.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { encodeResult } from "../threshold/result-encoding.ts"
import type { Claim } from "../threshold/share-scheme.ts"
import type { SharedKey } from "../threshold/shared-key.ts"
import { ENCRYPTED_KEY_BYTES, encryptedKeyScheme, type EncryptedKey, type TransportStatement } from "../threshold/transport.ts"
import type { Permitted } from "./permit.ts"
import { readResult } from "./read-result.ts"
import { type Refusal, refuse } from "./refusal.ts"
import { readUserKey } from "./user-key.ts"

/** A result as it was brought, for a request that the chain has said yes to. */
export interface ClaimedResult extends Permitted {
  readonly request: DecryptionRequest
  readonly result: Uint8Array
  /** Public requests: one for each handle. User requests: none. */
  readonly openings: ReadonlyArray<{ readonly ciphertext: Uint8Array; readonly sigma: Uint8Array }>
}

export interface ResultChecker {
  readonly engine: Bls12381Engine
  readonly key: SharedKey
  readonly registry: Hex
}

const identityOf = ({ registry }: ResultChecker, request: DecryptionRequest, handle: Hex): Uint8Array =>
  identityBytes({ chainId: request.chainId, registry: fromHex(registry), handle: fromHex(handle) })

const about = (claimed: ClaimedResult, handle: Hex, what: string) => `${claimed.requestId}: handle ${handle}: ${what}`

type Opening = ClaimedResult["openings"][number]

const openOne = (
  checker: ResultChecker,
  claimed: ClaimedResult,
  index: number,
  { ciphertext, sigma }: Opening
): Uint8Array | Refusal => {
  const handle = claimed.request.handles[index]!
  if (ciphertext.length > PUBLIC_CIPHERTEXT_BYTES_MAX) {
    return refuse("ciphertext-mismatch", about(claimed, handle, `more than ${PUBLIC_CIPHERTEXT_BYTES_MAX} bytes`))
  }
  const digest = toHex(createHash("sha256").update(ciphertext).digest())
  if (digest !== claimed.digests[index])
    return refuse("ciphertext-mismatch", about(claimed, handle, "not the registered ciphertext"))
  try {
    const parsed = parseCiphertext(ciphertext)
    if (parsed.epoch !== claimed.request.epoch)
      return refuse("ciphertext-mismatch", about(claimed, handle, "encrypted for another epoch"))
    return openWithSeed(checker.engine, parsed, identityOf(checker, claimed.request, handle), sigma)
  } catch (error) {
    if (error instanceof CiphertextRejected) return refuse("result-wrong", about(claimed, handle, error.reason))
    throw error
  }
}

const checkPublic = Effect.fnUntraced(function* (checker: ResultChecker, claimed: ClaimedResult) {
  if (claimed.openings.length !== claimed.request.handles.length) {
    return yield* refuse("malformed", `${claimed.requestId}: one opening for each handle`)
  }
  const plaintexts: Array<Uint8Array> = []
  for (const [index, opening] of claimed.openings.entries()) {
    yield* Effect.yieldNow
    const opened = openOne(checker, claimed, index, opening)
    if (!(opened instanceof Uint8Array)) return yield* opened
    plaintexts.push(opened)
  }
  const isRight = Buffer.compare(encodeResult(plaintexts), claimed.result) === 0
  for (const plaintext of plaintexts) plaintext.fill(0)
  if (!isRight) return yield* refuse("result-wrong", `${claimed.requestId}: the ciphertexts open to something else`)
})

interface KeyClaim extends Claim<TransportStatement, EncryptedKey> {
  readonly claimed: ClaimedResult
  readonly handle: Hex
}

/** The encrypted keys in a user result, read but not yet checked. */
const claimsOf = Effect.fnUntraced(function* (checker: ResultChecker, claimed: ClaimedResult) {
  const { request, requestId } = claimed
  if (claimed.openings.length > 0) return yield* refuse("malformed", `${requestId}: a user request has no openings`)
  const items = readResult(claimed.result)
  if (
    items === undefined ||
    items.length !== request.handles.length ||
    items.some((item) => item.length !== ENCRYPTED_KEY_BYTES)
  ) {
    return yield* refuse("result-wrong", `${requestId}: not one encrypted key for each handle`)
  }
  const transportKey = yield* readUserKey(checker.engine, request)
  const claims: Array<KeyClaim> = []
  for (const [index, item] of items.entries()) {
    yield* Effect.yieldNow
    const handle = request.handles[index]!
    try {
      const hashed = hashIdentity(checker.engine, checker.key.publicKey.bytes, identityOf(checker, request, handle))
      claims.push({ claimed, handle, statement: { hashed, transportKey }, part: encryptedKeyScheme.read(checker.engine, item) })
    } catch (error) {
      if (error instanceof PointRejected) return yield* refuse("result-wrong", about(claimed, handle, error.reason))
      throw error
    }
  }
  return claims
})

/**
 * Equations that are folded into one check: large enough to share its final exponentiation, small enough not to hold the event
 * loop.
 */
const CLAIMS_PER_CHECK = 8

const checkUser = Effect.fnUntraced(function* (checker: ResultChecker, claimed: ReadonlyArray<ClaimedResult>) {
  const claims = (yield* Effect.forEach(claimed, (one) => claimsOf(checker, one))).flat()
  const allHold = (some: ReadonlyArray<KeyClaim>) => encryptedKeyScheme.allHold(checker.engine, checker.key.publicKey.point, some)
  for (let from = 0; from < claims.length; from += CLAIMS_PER_CHECK) {
    const some = claims.slice(from, from + CLAIMS_PER_CHECK)
    const [first] = findFalse(some, allHold)
    const wrong = first === undefined ? undefined : some[first]!
    if (wrong !== undefined)
      return yield* refuse("result-wrong", about(wrong.claimed, wrong.handle, "not the committee's encrypted key"))
    yield* Effect.yieldNow
  }
})

/** Succeeds only when every result is right; otherwise the `Refusal` names the first request whose result is not. */
export const checkResults = Effect.fnUntraced(function* (checker: ResultChecker, claimed: ReadonlyArray<ClaimedResult>) {
  const [open, encrypted] = [
    claimed.filter((one) => one.request.kind === "public"),
    claimed.filter((one) => one.request.kind === "user")
  ]
  yield* Effect.forEach(open, (one) => checkPublic(checker, one), { discard: true })
  yield* checkUser(checker, encrypted)
})
