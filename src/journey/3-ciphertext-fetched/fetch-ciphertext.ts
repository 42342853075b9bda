/** acl-checked -> ciphertext-fetched. Any location whose bytes match the digest on chain will do; bytes that do not are never kept. Missing
 * or wrong bytes are the store's fault and may be mended, so they are never a "no": the request waits, at the latest until its deadline. */
import { Clock, Effect, Result, type Semaphore, Stream } from "effect"
import { createHash } from "node:crypto"
import type { CiphertextRecord } from "../../domain/ciphertext.ts"
import { toHex, type Hex } from "../../domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX, PUBLIC_CIPHERTEXT_BYTES_MAX, RESULT_BYTES_PER_ATTESTATION_MAX } from "../../domain/limits.ts"
import type { StepOutcome } from "../../domain/outcome.ts"
import type { DecryptionRequest } from "../../domain/request.ts"
import { CiphertextCache, type Found } from "./ciphertext-cache.port.ts"
import { CiphertextRegistry } from "./ciphertext-registry.port.ts"
import { CiphertextStore } from "./ciphertext-store.port.ts"

/** Uploads may trail their registration by a moment; what is still wrong after minutes is looked at once a minute. */
const RETRY_FIRST_MS = 1_000
const RETRY_LONGEST_MS = 60_000

type Fetched = Found | { readonly type: "refused"; readonly reason: "ciphertext-too-large"; readonly detail: string }

/** What is larger than this waits for one of few places, so that large ciphertexts fill neither the memory nor the way of small ones. */
const LARGE_BYTES = 64 * 1024

/** Fetches, checks and caches the ciphertexts of a request. `large`: a place in memory for each large one that is under way. */
export const fetchCiphertext = Effect.fnUntraced(function* (
  of: { readonly facts: DecryptionRequest; readonly detectedAtMs: number },
  large?: Semaphore.Semaphore
) {
  const registry = yield* CiphertextRegistry
  const ageMs = (yield* Clock.currentTimeMillis) - of.detectedAtMs
  const digests: Array<Hex> = []
  const records = yield* registry.records(of.facts.handles)
  const tooMuch = of.facts.kind === "public" ? excessOf(records) : undefined
  if (tooMuch !== undefined) return tooMuch
  for (const record of records) {
    if (record === undefined) return postponed("registration-not-visible", ageMs)
    const fetching = fetchOne(record, of.facts.kind === "public" ? PUBLIC_CIPHERTEXT_BYTES_MAX : CIPHERTEXT_BYTES_MAX)
    const fetched = yield* large !== undefined && record.sizeBytes > LARGE_BYTES ? large.withPermit(fetching) : fetching
    if (fetched.type === "refused") return fetched satisfies StepOutcome
    if (fetched.type === "later") return postponed(fetched.reason, ageMs)
    digests.push(record.digest)
  }
  return { type: "ciphertext-fetched", digests } satisfies StepOutcome
})

/** Public plaintexts travel in one transaction, and no result is longer than its ciphertexts together (protocol.md, sections 2, 6). */
const excessOf = (records: ReadonlyArray<CiphertextRecord | undefined>): StepOutcome | undefined => {
  const bytes = records.reduce((sum, record) => sum + (record?.sizeBytes ?? 0), 0)
  const detail = `its ciphertexts have ${bytes} bytes together, at most ${RESULT_BYTES_PER_ATTESTATION_MAX} go on chain at once`
  return bytes <= RESULT_BYTES_PER_ATTESTATION_MAX ? undefined : { type: "refused", reason: "ciphertext-too-large", detail }
}

/** Bytes of one ciphertext: from the cache, or from the first location that has the right ones. However many want it at once, it is looked for
 * once. Whoever registers the same digest at other locations looks by itself, so that bad locations cost only those who named them. */
export const fetchOne = Effect.fnUntraced(function* (record: CiphertextRecord, bytesMax: number) {
  if (record.sizeBytes > bytesMax) {
    const detail = `${record.handle} has ${record.sizeBytes} bytes, at most ${bytesMax} are allowed`
    return { type: "refused", reason: "ciphertext-too-large", detail } satisfies Fetched as Fetched
  }
  const cache = yield* CiphertextCache
  const what = JSON.stringify([record.handle, record.digest, record.sizeBytes, record.locations])
  return (yield* cache.shared(what, look(record))) satisfies Fetched as Fetched
})

const look = Effect.fnUntraced(function* (record: CiphertextRecord) {
  const cache = yield* CiphertextCache
  const cached = yield* cache.get(record.digest)
  if (cached !== undefined) return { type: "fetched", bytes: cached } satisfies Found as Found

  const failures: Array<string> = []
  for (const [index, location] of [...new Set(record.locations)].entries()) {
    const answer = yield* Effect.result(download(location, record))
    if (Result.isSuccess(answer) && answer.success !== undefined) {
      yield* cache.put(record.digest, answer.success)
      return { type: "fetched", bytes: answer.success } satisfies Found as Found
    }
    failures.push(`location ${index + 1} ${Result.isFailure(answer) ? WHAT_FAILED[answer.failure._tag] : "has bytes that do not match the digest"}`)
  }
  return { type: "later", reason: `ciphertext of ${record.handle}: ${failures.join(", ") || "no location"}` } satisfies Found as Found
})

const WHAT_FAILED = {
  ObjectMissing: "does not have it",
  LocationRefused: "is in no store that this gateway reads",
  StoreUnavailable: "cannot be reached"
} as const

/** Undefined when the bytes do not match; reading stops as soon as there are more than announced. */
const download = (location: string, record: CiphertextRecord) =>
  Effect.gen(function* () {
    const store = yield* CiphertextStore
    const hash = createHash("sha256")
    let bytes = new Uint8Array()
    let sizeBytes = 0
    yield* store.read(location).pipe(
      Stream.takeWhile((chunk) => {
        const at = sizeBytes
        sizeBytes += chunk.length
        if (sizeBytes > record.sizeBytes) return false
        hash.update(chunk)
        if (at === 0) bytes = new Uint8Array(record.sizeBytes)
        bytes.set(chunk, at)
        return true
      }),
      Stream.runDrain
    )
    if (sizeBytes !== record.sizeBytes || toHex(hash.digest()) !== record.digest) return undefined
    return bytes
  })

/** The longer it has been wrong, the less often it is looked at. */
const postponed = (reason: string, ageMs: number): StepOutcome => ({
  type: "postponed",
  reason,
  retryAfterMs: Math.round(Math.min(RETRY_LONGEST_MS, Math.max(RETRY_FIRST_MS, ageMs / 4)))
})
