/**
 * Ciphertexts on this machine's own disk, with the newest of them in memory. Nothing depends on it: bytes are hashed again on
 * the way out, and whatever goes wrong (a full disk, a foreign file, a broken one) is a miss. One directory belongs to one
 * process.
 */
import { createHash } from "node:crypto"
import { readFile, rm, utimes } from "node:fs/promises"
import { join } from "node:path"
import { Clock, Effect, Layer } from "effect"
import { toHex, type Hex } from "../../domain/hex.ts"
import { CiphertextCache, type Found } from "../../journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { meterHere } from "../../resilience/cache-meter.ts"
import { LruIndex } from "../../resilience/lru-index.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { SingleFlight } from "../../resilience/single-flight.ts"
import { findEntries } from "./cache-directory.ts"
import { isDigest, keyOf } from "./location.ts"
import { replaceFile } from "./replace-file.ts"

export interface CacheOptions {
  /** Created when it is not there. Files in it that are not ours are left alone. */
  readonly directory: string
  /** On disk. */
  readonly bytesMax: number
  /** What nobody has asked for in this time goes. */
  readonly unusedMsMax?: number
  /** In memory. */
  readonly memoryBytesMax?: number
}

/** A request lives at most 7 days: after that nobody asks for its ciphertext on its account. */
const UNUSED_MS_MAX = 7 * 24 * 60 * 60 * 1_000
/** About 16,000 public ciphertexts of 4 KiB, and a quarter of a gateway's memory budget (256 MiB). */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024

export const ciphertextCacheLayer = (options: CacheOptions): Layer.Layer<CiphertextCache> =>
  Layer.effect(
    CiphertextCache,
    Effect.gen(function* () {
      const { directory, bytesMax, unusedMsMax = UNUSED_MS_MAX, memoryBytesMax = MEMORY_BYTES_MAX } = options
      const pathOf = (digest: Hex): string => join(directory, keyOf(digest))
      // By the calendar, which is all that outlives the process: a clock that jumps costs downloads, and never gives wrong bytes.
      const onDisk = new LruIndex<undefined, Hex>(bytesMax, unusedMsMax)
      const inMemory = new LruIndex<Uint8Array, Hex>(memoryBytesMax, unusedMsMax)
      const looks = new SingleFlight<Found, never>()
      const [memoryMeter, diskMeter] = [yield* meterHere("ciphertexts"), yield* meterHere("ciphertext-files")]
      const forget = (gone: ReadonlyArray<Hex>) =>
        memoryMeter.holds({ entries: inMemory.entries, bytes: inMemory.size, evicted: gone.length })
      const drop = (digests: ReadonlyArray<Hex>) => {
        diskMeter.holds({ entries: onDisk.entries, bytes: onDisk.size, evicted: digests.length })
        return digests.length === 0
          ? Effect.void
          : quietly(() => Promise.all(digests.map((digest) => rm(pathOf(digest), { force: true }))))
      }

      const fromMemory = Effect.fnUntraced(function* (digest: Hex) {
        const nowMs = yield* monotonicMs
        forget(inMemory.expire(nowMs))
        const remembered = inMemory.touch(digest, nowMs)
        // Somebody we gave these bytes to may have written into them.
        const isIntact = remembered !== undefined && sha256(remembered) === digest
        if (remembered !== undefined && !isIntact) inMemory.delete(digest)
        ;(isIntact ? memoryMeter.hit : memoryMeter.miss)()
        return isIntact ? remembered : undefined
      })

      const fromDisk = Effect.fnUntraced(function* (digest: Hex, nowMs: number) {
        if (!onDisk.has(digest)) return undefined
        const bytes = yield* quietly(() => readFile(pathOf(digest)))
        if (bytes === undefined || sha256(bytes) !== digest) {
          onDisk.delete(digest)
          yield* drop([digest])
          return undefined
        }
        // So that a restart finds the same order of use.
        yield* quietly(() => utimes(pathOf(digest), nowMs / 1_000, nowMs / 1_000))
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      })

      const found = yield* quietly(() => findEntries(directory))
      for (const entry of found ?? []) yield* drop(onDisk.put(entry.digest, undefined, entry.sizeBytes, entry.usedAtMs))
      yield* drop(onDisk.expire(yield* Clock.currentTimeMillis))

      return CiphertextCache.of({
        shared: (what, look) => looks.share(what, look),
        get: (digest) =>
          Effect.gen(function* () {
            const nowMs = yield* Clock.currentTimeMillis
            const remembered = yield* fromMemory(digest)
            yield* drop(onDisk.expire(nowMs))
            onDisk.touch(digest, nowMs)
            if (remembered !== undefined) return remembered
            const bytes = yield* fromDisk(digest, nowMs)
            ;(bytes === undefined ? diskMeter.miss : diskMeter.hit)()
            if (bytes !== undefined) forget(inMemory.put(digest, bytes, bytes.length, yield* monotonicMs))
            return bytes
          }),
        put: (digest, bytes) =>
          Effect.gen(function* () {
            if (!isDigest(digest) || sha256(bytes) !== digest) return
            const nowMs = yield* Clock.currentTimeMillis
            forget(inMemory.put(digest, Uint8Array.from(bytes), bytes.length, yield* monotonicMs))
            if (bytes.length > bytesMax || onDisk.has(digest)) return
            const isWritten = yield* quietly(async () => {
              await replaceFile(pathOf(digest), bytes, { isDurable: false })
              await utimes(pathOf(digest), nowMs / 1_000, nowMs / 1_000)
              return true
            })
            if (isWritten === true) yield* drop(onDisk.put(digest, undefined, bytes.length, nowMs))
          })
      })
    })
  )

const sha256 = (bytes: Uint8Array): Hex => toHex(createHash("sha256").update(bytes).digest())

/** A failure is as good as nothing. */
const quietly = <A>(attempt: () => Promise<A>): Effect.Effect<A | undefined> =>
  Effect.promise(() => attempt().catch(() => undefined))
