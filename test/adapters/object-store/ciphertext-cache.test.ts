/** The cache is a convenience: bounded, re-checked, and a miss whenever anything is wrong with it. */
import { createHash, randomBytes } from "node:crypto"
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type CacheOptions, ciphertextCacheLayer } from "../../../src/adapters/object-store/ciphertext-cache.layer.ts"
import { keyOf } from "../../../src/adapters/object-store/location.ts"
import { LruIndex } from "../../../src/resilience/lru-index.ts"
import { toHex, type Hex } from "../../../src/domain/hex.ts"
import { CiphertextCache } from "../../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { heardTelemetry } from "../../actors/support/heard-telemetry.ts"

let directory: string
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "portcullis-cache-"))))
afterEach(() => rm(directory, { recursive: true, force: true }))

const NOTHING_IN_MEMORY = 0
const sha256 = (bytes: Uint8Array): Hex => toHex(createHash("sha256").update(bytes).digest())
const some = (length: number) => {
  const bytes = new Uint8Array(randomBytes(length))
  return { bytes, digest: sha256(bytes) }
}
const pathOf = (digest: Hex) => join(directory, keyOf(digest))
const filesIn = async (folder: string) => (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".pct"))

/** Runs against a cache that has just been started on the directory. */
const withCache = <A>(use: (cache: CiphertextCache["Service"]) => Effect.Effect<A>, options: Partial<CacheOptions> = {}) =>
  Effect.runPromise(
    CiphertextCache.use(use).pipe(
      Effect.provide(Layer.provideMerge(ciphertextCacheLayer({ directory, bytesMax: 1_000_000, ...options }), TestClock.layer()))
    )
  )

describe.each([
  { from: "memory", memoryBytesMax: 1_000_000 },
  { from: "disk", memoryBytesMax: NOTHING_IN_MEMORY }
])("from $from", ({ memoryBytesMax }) => {
  test("what was put comes back, and what was not is a miss", () =>
    withCache(
      (cache) =>
        Effect.gen(function* () {
          const { bytes, digest } = some(500)
          yield* cache.put(digest, bytes)
          expect(yield* cache.get(digest)).toEqual(bytes)
          expect(yield* cache.get(some(5).digest)).toBeUndefined()
        }),
      { memoryBytesMax }
    ))

  test("bytes that somebody has written into are not given out again", () =>
    withCache(
      (cache) =>
        Effect.gen(function* () {
          const { bytes, digest } = some(500)
          yield* cache.put(digest, bytes)
          const original = Uint8Array.from(bytes)
          bytes.fill(0)
          const given = (yield* cache.get(digest))!
          expect(given).toEqual(original)
          given.fill(0)
          expect(yield* cache.get(digest)).toEqual(original)
        }),
      { memoryBytesMax }
    ))
})

test("a restart finds what was kept, and in the same order of use", async () => {
  const [first, second, third] = [some(400), some(400), some(400)]
  const options = { bytesMax: 1_000, memoryBytesMax: NOTHING_IN_MEMORY }
  await withCache(
    (cache) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000)
        yield* cache.put(first.digest, first.bytes)
        yield* TestClock.setTime(2_000)
        yield* cache.put(second.digest, second.bytes)
        yield* TestClock.setTime(3_000)
        yield* cache.get(first.digest)
      }),
    options
  )
  await withCache(
    (cache) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(4_000)
        yield* cache.put(third.digest, third.bytes) // the second was used longest ago
        expect(yield* cache.get(second.digest)).toBeUndefined()
        expect(yield* cache.get(first.digest)).toEqual(first.bytes)
        expect(yield* cache.get(third.digest)).toEqual(third.bytes)
      }),
    options
  )
})

test("a directory that holds more than it may is brought within its bound at the start", async () => {
  await withCache((cache) =>
    Effect.forEach(
      Array.from({ length: 10 }, () => some(1_000)),
      ({ digest, bytes }) => cache.put(digest, bytes)
    )
  )
  expect(await filesIn(directory)).toHaveLength(10)
  await withCache(() => Effect.void, { bytesMax: 3_500 })
  expect(await filesIn(directory)).toHaveLength(3)
})

test("the disk never holds more than its bound, whatever is put and got", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.record({ which: fc.nat(7), isPut: fc.boolean() }), { maxLength: 40 }), async (steps) => {
      await rm(directory, { recursive: true, force: true })
      const objects = Array.from({ length: 8 }, (_, index) => some(100 * (index + 1)))
      await withCache(
        (cache) =>
          Effect.forEach(steps, ({ which, isPut }) => {
            const { bytes, digest } = objects[which]!
            return isPut
              ? cache.put(digest, bytes)
              : Effect.map(cache.get(digest), (got) => void (got === undefined || expect(got).toEqual(bytes)))
          }),
        { bytesMax: 1_500, memoryBytesMax: 900 }
      )
      const files = await filesIn(directory).catch(() => [])
      const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size))
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(1_500)
    }),
    { numRuns: 25 }
  ))

test("what nobody has asked for in the given time goes; what is used stays", () =>
  withCache(
    (cache) =>
      Effect.gen(function* () {
        const [used, unused] = [some(10), some(10)]
        yield* cache.put(used.digest, used.bytes)
        yield* cache.put(unused.digest, unused.bytes)
        yield* TestClock.adjust(900)
        expect(yield* cache.get(used.digest)).toEqual(used.bytes)
        yield* TestClock.adjust(900)
        expect(yield* cache.get(used.digest)).toEqual(used.bytes)
        expect(yield* cache.get(unused.digest)).toBeUndefined()
        expect(yield* Effect.promise(() => filesIn(directory))).toEqual([keyOf(used.digest)])
      }),
    { unusedMsMax: 1_000 }
  ))

test("a file whose bytes are not its name's is a miss, and is removed", async () => {
  const { bytes, digest } = some(300)
  await withCache((cache) => cache.put(digest, bytes))
  for (const damaged of [bytes.with(0, bytes[0]! ^ 1), bytes.subarray(1), new Uint8Array(0)]) {
    await mkdir(join(directory, digest.slice(2, 4)), { recursive: true })
    await writeFile(pathOf(digest), damaged)
    expect(await withCache((cache) => cache.get(digest))).toBeUndefined()
    await expect(stat(pathOf(digest))).rejects.toMatchObject({ code: "ENOENT" })
  }
})

test("a file that somebody removed is a miss, and can be put again", () =>
  withCache(
    (cache) =>
      Effect.gen(function* () {
        const { bytes, digest } = some(300)
        yield* cache.put(digest, bytes)
        yield* Effect.promise(() => rm(pathOf(digest)))
        expect(yield* cache.get(digest)).toBeUndefined()
        yield* cache.put(digest, bytes)
        expect(yield* cache.get(digest)).toEqual(bytes)
      }),
    { memoryBytesMax: NOTHING_IN_MEMORY }
  ))

test("bytes are not kept under a digest that is not theirs", () =>
  withCache((cache) =>
    Effect.gen(function* () {
      const [one, other] = [some(30), some(30)]
      yield* cache.put(one.digest, other.bytes)
      expect(yield* cache.get(one.digest)).toBeUndefined()
      expect(yield* cache.get("0x../../etc/passwd" as Hex)).toBeUndefined()
    })
  ))

test("something larger than the whole cache is not kept, and drives nothing out", () =>
  withCache(
    (cache) =>
      Effect.gen(function* () {
        const [small, large] = [some(100), some(5_000)]
        yield* cache.put(small.digest, small.bytes)
        yield* cache.put(large.digest, large.bytes)
        expect(yield* cache.get(large.digest)).toBeUndefined()
        expect(yield* cache.get(small.digest)).toEqual(small.bytes)
      }),
    { bytesMax: 1_000, memoryBytesMax: 1_000 }
  ))

test("foreign files are left alone; what was never finished is removed", async () => {
  await mkdir(join(directory, "ab"))
  await writeFile(join(directory, "README"), "mine")
  await writeFile(join(directory, "ab", "notes.txt"), "mine")
  await writeFile(join(directory, "ab", ".unfinished-1234"), "half")
  await withCache(() => Effect.void, { bytesMax: 1 })
  expect(await readdir(join(directory, "ab"))).toEqual(["notes.txt"])
  expect(await readFile(join(directory, "README"), "utf8")).toBe("mine")
})

test.each([
  ["is a file", async (path: string) => writeFile(path, "in the way")],
  ["cannot be written (unless to root)", async (path: string) => mkdir(path).then(() => chmod(path, 0o500))]
])("a directory that %s leaves a cache that works from memory", async (_what, spoil) => {
  const path = join(directory, "spoilt")
  await spoil(path)
  const { bytes, digest } = some(100)
  await withCache(
    (cache) =>
      Effect.gen(function* () {
        yield* cache.put(digest, bytes)
        expect(yield* cache.get(digest)).toEqual(bytes)
        expect(yield* cache.get(some(1).digest)).toBeUndefined()
      }),
    { directory: path }
  )
})

test("an index counts every byte once, whatever is put over what", () => {
  const digest = (index: number): Hex => `0x${index.toString(16).padStart(64, "0")}`
  fc.assert(
    fc.property(fc.array(fc.record({ which: fc.nat(5), size: fc.nat(60), isDelete: fc.boolean() })), (steps) => {
      const index = new LruIndex<number, Hex>(100, 1_000)
      const held = new Map<Hex, number>()
      for (const [at, { which, size, isDelete }] of steps.entries()) {
        if (isDelete) {
          index.delete(digest(which))
          held.delete(digest(which))
          continue
        }
        held.set(digest(which), size)
        for (const removed of index.put(digest(which), size, size, at)) held.delete(removed)
        expect(index.size).toBe([...held.values()].reduce((sum, one) => sum + one, 0))
        expect(index.size).toBeLessThanOrEqual(100)
      }
      for (const [key, size] of held) expect(index.touch(key, 0)).toBe(size)
    })
  )
})

test("what it gave, what it did not have, what it holds and what had to go is told", async () => {
  const heard = heardTelemetry()
  const cache = ciphertextCacheLayer({ directory, bytesMax: 1_000, memoryBytesMax: NOTHING_IN_MEMORY })
  const story = CiphertextCache.use(
    Effect.fnUntraced(function* (given) {
      const [first, second] = [some(600), some(600)]
      yield* given.put(first.digest, first.bytes)
      yield* given.get(first.digest)
      yield* given.put(second.digest, second.bytes)
      yield* given.get(first.digest)
    })
  )
  await Effect.runPromise(story.pipe(Effect.provide(cache.pipe(Layer.provide(heard.layer)))))
  // In memory two misses, and on disk a hit and a miss; memory has no room for either, and the disk for one of them.
  expect([heard.counted("cache_hits"), heard.counted("cache_misses")]).toEqual([1, 3])
  expect(heard.gauged("cache_bytes").at(-1)).toBe(600)
  expect(Math.max(...heard.gauged("cache_bytes"))).toBe(600)
  expect(heard.counted("cache_evictions")).toBeGreaterThan(0)
})
