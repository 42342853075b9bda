/** acl-checked -> ciphertext-fetched: any location with the right bytes will do, and a store's fault is never a no. */
import { createHash, randomBytes } from "node:crypto"
import { Effect, Layer, Semaphore, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import { toHex, type Hex } from "../../src/domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX, PUBLIC_CIPHERTEXT_BYTES_MAX } from "../../src/domain/limits.ts"
import type { RequestKind } from "../../src/domain/request.ts"
import { ChainUnavailable } from "../../src/journey/1-detected/request-log.port.ts"
import { CiphertextCache, type Found } from "../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import {
  CiphertextStore,
  LocationRefused,
  ObjectMissing,
  StoreUnavailable
} from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { fetchCiphertext } from "../../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"
import { SingleFlight } from "../../src/resilience/single-flight.ts"
import { aRequest, someHex } from "./a-request.ts"

const sha256 = (bytes: Uint8Array): Hex => toHex(createHash("sha256").update(bytes).digest())
const some = (length = 400): Uint8Array => new Uint8Array(randomBytes(length))

type Behaviour = Uint8Array | "missing" | "unavailable" | "refused" | "breaks-off"

/** Stores by location, a registry by handle, and a cache that is only a map; all of them note what they are asked. */
const world = (records: ReadonlyArray<CiphertextRecord | undefined>, stores: Readonly<Record<string, Behaviour>> = {}, looks = new SingleFlight<Found, never>()) => {
  const reads: Array<string> = []
  const cached = new Map<Hex, Uint8Array>()
  let deliveredBytes = 0
  const read = (location: string): ReturnType<CiphertextStore["Service"]["read"]> => {
    reads.push(location)
    const behaviour = stores[location] ?? "missing"
    if (behaviour === "missing") return Stream.fail(new ObjectMissing({ location }))
    if (behaviour === "unavailable") return Stream.fail(new StoreUnavailable({ location, cause: "down" }))
    if (behaviour === "refused") return Stream.fail(new LocationRefused({ location, reason: "not ours" }))
    if (behaviour === "breaks-off")
      return Stream.concat(Stream.make(some(10)), Stream.fail(new StoreUnavailable({ location, cause: "cut" })))
    return Stream.unfold(0, (at) => {
      const chunk = behaviour.subarray(at, at + 100)
      deliveredBytes += chunk.length
      return Effect.succeed(chunk.length === 0 ? undefined : ([chunk, at + chunk.length] as const))
    })
  }
  const layer = Layer.mergeAll(
    Layer.succeed(CiphertextRegistry, { records: () => Effect.succeed(records) }),
    Layer.succeed(CiphertextStore, {
      // A store takes its time: who asks at the same time meets those who asked before.
      read: (location) => Stream.unwrap(Effect.andThen(Effect.yieldNow, Effect.sync(() => read(location)))),
      write: () => Effect.die("not asked to write")
    }),
    Layer.succeed(CiphertextCache, {
      shared: (what, look) => looks.share(what, look),
      get: (digest) => Effect.sync(() => cached.get(digest)),
      put: (digest, bytes) => Effect.sync(() => void cached.set(digest, bytes))
    })
  )
  const outcome = ({ kind = "public" as RequestKind, ageMs = 0 } = {}, large?: Semaphore.Semaphore) => {
    const facts = aRequest({ kind, handles: records.map((record) => record?.handle ?? someHex(32)) })
    const program = TestClock.setTime(1_000_000 + ageMs).pipe(Effect.andThen(fetchCiphertext({ facts, detectedAtMs: 1_000_000 }, large)))
    return Effect.runPromise(program.pipe(Effect.provide(Layer.merge(layer, TestClock.layer()))))
  }
  return { reads, cached, outcome, delivered: () => deliveredBytes }
}

const recordOf = (bytes: Uint8Array, ...locations: ReadonlyArray<string>): CiphertextRecord => ({
  handle: someHex(32),
  owner: someHex(20),
  digest: sha256(bytes),
  sizeBytes: bytes.length,
  epoch: 1,
  locations
})

describe("success", () => {
  test("every ciphertext of the request is fetched, cached, and named by its digest in order", async () => {
    const [one, two] = [some(), some(2_000)]
    const { outcome, cached } = world([recordOf(one, "a"), recordOf(two, "b")], { a: one, b: two })
    expect(await outcome()).toEqual({ type: "ciphertext-fetched", digests: [sha256(one), sha256(two)] })
    expect([...cached.keys()]).toEqual([sha256(one), sha256(two)])
    expect(cached.get(sha256(two))).toEqual(two)
  })

  test("what the cache has is not asked of any store", async () => {
    const bytes = some()
    const { outcome, cached, reads } = world([recordOf(bytes, "a")])
    cached.set(sha256(bytes), bytes)
    expect(await outcome()).toMatchObject({ type: "ciphertext-fetched" })
    expect(reads).toEqual([])
  })

  test.each<[string, Behaviour]>([
    ["has other bytes", some()],
    ["has more bytes", some(5_000)],
    ["has fewer bytes", some(10)],
    ["has nothing", "missing"],
    ["cannot be reached", "unavailable"],
    ["breaks off", "breaks-off"],
    ["is not ours", "refused"]
  ])("a first location that %s is made up for by the second", async (_what, behaviour) => {
    const bytes = some()
    const { outcome, reads } = world([recordOf(bytes, "first", "second")], { first: behaviour, second: bytes })
    expect(await outcome()).toMatchObject({ type: "ciphertext-fetched" })
    expect(reads).toEqual(["first", "second"])
  })

  test("after the first location with the right bytes no other is asked", async () => {
    const bytes = some()
    const { outcome, reads } = world([recordOf(bytes, "first", "second")], { first: bytes, second: bytes })
    await outcome()
    expect(reads).toEqual(["first"])
  })
})

describe("many who want the same ciphertext at once", () => {
  const [bytes, HERD] = [some(), 50]

  test("read it from its store once", async () => {
    const { outcome, reads } = world([recordOf(bytes, "a")], { a: bytes })
    const outcomes = await Promise.all(Array.from({ length: HERD }, () => outcome()))
    expect(outcomes).toEqual(outcomes.map(() => ({ type: "ciphertext-fetched", digests: [sha256(bytes)] })))
    expect(reads).toEqual(["a"])
  })

  test("share a failure, which is not kept: whoever comes later finds what is there then", async () => {
    const stores: Record<string, Behaviour> = { a: "unavailable" }
    const { outcome, reads } = world([recordOf(bytes, "a")], stores)
    const outcomes = await Promise.all(Array.from({ length: HERD }, () => outcome()))
    expect(outcomes).toEqual(outcomes.map(() => expect.objectContaining({ type: "postponed" }) as unknown))
    expect(reads).toEqual(["a"])
    stores["a"] = bytes
    expect(await outcome()).toMatchObject({ type: "ciphertext-fetched" })
  })

  test("are not held up by a stranger who registered the same digest at a bad location", async () => {
    const [ours, strangers] = [recordOf(bytes, "a"), recordOf(bytes, "nowhere")]
    const shared = new SingleFlight<Found, never>()
    const stores: Record<string, Behaviour> = { a: bytes }
    const [theirs, our] = [world([strangers], stores, shared), world([ours], stores, shared)]
    const [first, second] = await Promise.all([theirs.outcome(), our.outcome()])
    expect([first.type, second.type]).toEqual(["postponed", "ciphertext-fetched"])
  })
})

describe("what is wrong with a store is not an answer to the request", () => {
  test.each<[string, Behaviour]>([
    ["does not have it", "missing"],
    ["cannot be reached", "unavailable"],
    ["cannot be reached", "breaks-off"],
    ["is in no store that this gateway reads", "refused"],
    ["has bytes that do not match the digest", some()]
  ])("a location that %s: the request waits, whatever its age, and the reason says so", async (reason, behaviour) => {
    for (const ageMs of [0, 60_000, 24 * 3_600_000]) {
      const { outcome, cached } = world([recordOf(some(), "a")], { a: behaviour })
      expect(await outcome({ ageMs })).toMatchObject({ type: "postponed", reason: expect.stringContaining(reason) as string })
      expect(cached.size).toBe(0)
    }
  })

  test("the reason names every location's fault, and no bytes", async () => {
    const { outcome } = world([recordOf(some(), "a", "b", "c")], { a: "missing", b: "unavailable", c: some() })
    expect(await outcome()).toMatchObject({
      reason: expect.stringMatching(
        /location 1 does not have it, location 2 cannot be reached, location 3 has bytes that do not match/
      ) as string
    })
  })

  test("a tampered ciphertext is never kept, whichever bit was turned", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(799), async (bit) => {
        const bytes = some(100)
        const tampered = bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)))
        const { outcome, cached } = world([recordOf(bytes, "a")], { a: tampered })
        expect(await outcome()).toMatchObject({ type: "postponed" })
        expect(cached.size).toBe(0)
      }),
      { numRuns: 50 }
    ))

  test("it is looked at less and less often, at the latest once a minute", async () => {
    const pauses: Array<number> = []
    for (const ageMs of [0, 1_000, 8_000, 60_000, 240_000, 10_000_000]) {
      const outcome = await world([recordOf(some(), "a")]).outcome({ ageMs })
      if (outcome.type === "postponed") pauses.push(outcome.retryAfterMs)
    }
    expect(pauses).toEqual([1_000, 1_000, 2_000, 15_000, 60_000, 60_000])
  })

  test("a registration that this endpoint does not see yet is waited for", async () => {
    const { outcome, reads } = world([undefined])
    expect(await outcome()).toMatchObject({ type: "postponed", reason: "registration-not-visible" })
    expect(reads).toEqual([])
  })

  test("a chain that cannot be asked fails the step, with the fate to try again", async () => {
    const { outcome } = world([])
    expect(await outcome()).toEqual({ type: "ciphertext-fetched", digests: [] })
    const down = Layer.succeed(CiphertextRegistry, {
      records: () => Effect.fail(new ChainUnavailable({ doing: "recordOf", cause: "down" }))
    })
    const idle = Layer.merge(
      Layer.succeed(CiphertextStore, { read: () => Stream.empty, write: () => Effect.die("no") }),
      Layer.succeed(CiphertextCache, { shared: (_what, look) => look, get: () => Effect.succeed(undefined), put: () => Effect.void })
    )
    const program = fetchCiphertext({ facts: aRequest(), detectedAtMs: 0 }).pipe(Effect.provide(Layer.merge(down, idle)))
    await expect(Effect.runPromise(program)).rejects.toMatchObject({ _tag: "ChainUnavailable", fate: "retry" })
  })
})

describe("size", () => {
  test.each<[RequestKind, string]>([
    ["public", "refused"],
    ["user", "postponed"]
  ])("a %s request of 32 ciphertexts of 4 KiB is %s: public plaintexts have to fit into one transaction", async (kind, type) => {
    const records = Array.from({ length: 32 }, (_, index) => ({ ...recordOf(some(), `${index}`), sizeBytes: 4_096 }))
    const { outcome, reads } = world(records)
    expect(await outcome({ kind })).toMatchObject({ type })
    expect(reads.length).toBe(type === "refused" ? 0 : 1)
  })

  test.each<[RequestKind, number]>([
    ["public", PUBLIC_CIPHERTEXT_BYTES_MAX],
    ["user", CIPHERTEXT_BYTES_MAX]
  ])("a %s request whose ciphertext is registered as larger than %i bytes is refused unread", async (kind, bytesMax) => {
    const { outcome, reads } = world([{ ...recordOf(some(), "a"), sizeBytes: bytesMax + 1 }])
    expect(await outcome({ kind })).toMatchObject({ type: "refused", reason: "ciphertext-too-large" })
    expect(reads).toEqual([])
  })

  test("the largest public ciphertext is fetched", async () => {
    const bytes = some(PUBLIC_CIPHERTEXT_BYTES_MAX)
    expect(await world([recordOf(bytes, "a")], { a: bytes }).outcome()).toMatchObject({ type: "ciphertext-fetched" })
  })

  test("large ciphertexts wait for a place in memory, and small ones do not wait for them", async () => {
    const [small, large] = [some(400), some(100_000)]
    const taken = Semaphore.makeUnsafe(1)
    const result = await Effect.runPromise(
      taken.withPermit(
        Effect.gen(function* () {
          const fetched = (bytes: Uint8Array) =>
            Effect.promise(() => world([recordOf(bytes, "a")], { a: bytes }).outcome({ kind: "user" }, taken))
          return [yield* fetched(small), yield* fetched(large).pipe(Effect.timeoutOption(200))] as const
        })
      )
    )
    expect(result[0]).toMatchObject({ type: "ciphertext-fetched" })
    expect(result[1]).toMatchObject({ _tag: "None" })
    expect(await world([recordOf(large, "a")], { a: large }).outcome({ kind: "user" }, taken)).toMatchObject({ type: "ciphertext-fetched" })
  })

  test("reading stops with the first chunk that is too much", async () => {
    const { outcome, delivered } = world([recordOf(some(250), "a")], { a: some(1_000_000) })
    expect(await outcome()).toMatchObject({ type: "postponed" })
    expect(delivered()).toBe(300)
  })
})
