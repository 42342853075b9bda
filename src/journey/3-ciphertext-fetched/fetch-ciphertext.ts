/** acl-checked -> ciphertext-fetched. Any location whose bytes match the digest on chain will do; bytes that do not are never kept. */
import { Clock, Effect, Result, Stream } from "effect"
import { createHash } from "node:crypto"
import type { CiphertextRecord } from "../../domain/ciphertext.ts"
import { toHex, type Hex } from "../../domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX, PUBLIC_CIPHERTEXT_BYTES_MAX } from "../../domain/limits.ts"
import type { RefusalReason, StepOutcome } from "../../domain/outcome.ts"
import type { DecryptionRequest } from "../../domain/request.ts"
import { CiphertextCache } from "./ciphertext-cache.port.ts"
import { CiphertextRegistry } from "./ciphertext-registry.port.ts"
import { CiphertextStore } from "./ciphertext-store.port.ts"

const RETRY_MS = 1_000

type Fetched =
  | { readonly type: "fetched"; readonly bytes: Uint8Array }
  | { readonly type: "refused"; readonly reason: RefusalReason; readonly detail: string }
  /** At least one location may still come up with the bytes. */
  | { readonly type: "later"; readonly isMissing: boolean; readonly reason: string }

/** The ciphertexts of a request, by digest; fetched, checked and cached. Outcomes other than success are refusals or "later". */
export const fetchCiphertext = Effect.fnUntraced(function* (of: {
  readonly facts: DecryptionRequest
  readonly detectedAtMs: number
  /** How long an object may be missing everywhere before that counts as an answer: uploads may trail the registration. */
  readonly missingGraceMs: number
}) {
  const registry = yield* CiphertextRegistry
  const records = yield* registry.records(of.facts.handles)
  const digests: Array<Hex> = []
  for (const record of records) {
    if (record === undefined) return postponed("registration-not-visible")
    const fetched = yield* fetchOne(record, of.facts.kind === "public" ? PUBLIC_CIPHERTEXT_BYTES_MAX : CIPHERTEXT_BYTES_MAX)
    if (fetched.type === "refused") return fetched satisfies StepOutcome
    if (fetched.type === "later") {
      const waitedMs = (yield* Clock.currentTimeMillis) - of.detectedAtMs
      if (!fetched.isMissing || waitedMs < of.missingGraceMs) return postponed(fetched.reason)
      const detail = `${record.handle} is in none of its ${record.locations.length} locations, ${Math.round(waitedMs / 1_000)} s after the request`
      return { type: "refused", reason: "ciphertext-missing", detail } satisfies StepOutcome
    }
    digests.push(record.digest)
  }
  return { type: "ciphertext-fetched", digests } satisfies StepOutcome
})

/** Bytes of one ciphertext: from the cache, or from the first location that has the right ones. */
export const fetchOne = Effect.fnUntraced(function* (record: CiphertextRecord, bytesMax: number) {
  if (record.sizeBytes > bytesMax) {
    return refused("ciphertext-too-large", `${record.handle} has ${record.sizeBytes} bytes, at most ${bytesMax} are allowed`)
  }
  const cache = yield* CiphertextCache
  const cached = yield* cache.get(record.digest)
  if (cached !== undefined) return { type: "fetched", bytes: cached } satisfies Fetched as Fetched

  const failures = { wrong: 0, missing: 0, unreachable: 0, refused: 0 }
  for (const location of record.locations) {
    const answer = yield* Effect.result(download(location, record))
    if (Result.isFailure(answer)) {
      const tag = answer.failure._tag
      failures[tag === "ObjectMissing" ? "missing" : tag === "LocationRefused" ? "refused" : "unreachable"] += 1
    } else if (answer.success === undefined) failures.wrong += 1
    else {
      yield* cache.put(record.digest, answer.success)
      return { type: "fetched", bytes: answer.success } satisfies Fetched as Fetched
    }
  }
  if (failures.unreachable > 0) return { type: "later", isMissing: false, reason: "store-unavailable" } satisfies Fetched as Fetched
  if (failures.missing > 0) return { type: "later", isMissing: true, reason: "ciphertext-missing" } satisfies Fetched as Fetched
  return failures.wrong > 0
    ? refused("ciphertext-tampered", `${record.handle}: no location has bytes that match the registered digest`)
    : refused("ciphertext-missing", `${record.handle}: none of its locations is in a store this gateway reads`)
})

/** Undefined when the bytes do not match; reading stops as soon as there are more than announced. */
const download = (location: string, record: CiphertextRecord) =>
  Effect.gen(function* () {
    const store = yield* CiphertextStore
    const hash = createHash("sha256")
    const chunks: Array<Uint8Array> = []
    let sizeBytes = 0
    yield* store.read(location).pipe(
      Stream.takeWhile((chunk) => {
        sizeBytes += chunk.length
        if (sizeBytes > record.sizeBytes) return false
        hash.update(chunk)
        chunks.push(chunk)
        return true
      }),
      Stream.runDrain
    )
    if (sizeBytes !== record.sizeBytes || toHex(hash.digest()) !== record.digest) return undefined
    return new Uint8Array(Buffer.concat(chunks))
  })

const refused = (reason: RefusalReason, detail: string): Fetched => ({ type: "refused", reason, detail })
const postponed = (reason: string): StepOutcome => ({ type: "postponed", reason, retryAfterMs: RETRY_MS })
