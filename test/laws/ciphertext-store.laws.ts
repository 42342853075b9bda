/** What every CiphertextStore promises about one named store, whoever implements it. `fetchOne` relies on this and on no more. */
import { createHash, randomBytes } from "node:crypto"
import { Effect, type Layer, Result, Stream } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import { toHex } from "../../src/domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX, PUBLIC_CIPHERTEXT_BYTES_MAX } from "../../src/domain/limits.ts"
import { CiphertextCache } from "../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { fetchOne } from "../../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"

/** A store named "main" that its keeper can also reach behind the adapter's back. */
export interface GivenStore {
  readonly layer: Layer.Layer<CiphertextStore>
  /** Puts bytes under a key, or replaces them, as somebody with access to the storage could. */
  readonly plant: (key: string, bytes: Uint8Array) => Promise<void>
  /** From now on the storage cannot be asked. */
  readonly breakDown: () => Promise<void>
  readonly close: () => Promise<void>
}

export const sha256 = (bytes: Uint8Array) => toHex(createHash("sha256").update(bytes).digest())

/** All bytes, or the error. */
export const readAll = (layer: Layer.Layer<CiphertextStore>, location: string) =>
  Effect.runPromise(
    CiphertextStore.use((store) => Stream.runCollect(store.read(location))).pipe(
      Effect.map((chunks) => new Uint8Array(Buffer.concat([...chunks]))),
      Effect.result,
      Effect.provide(layer)
    )
  )

export const tagOf = (answer: Result.Result<unknown, { readonly _tag: string }>) =>
  Result.isFailure(answer) ? answer.failure._tag : "read"

const put = (layer: Layer.Layer<CiphertextStore>, bytes: Uint8Array, name = "main") =>
  Effect.runPromise(
    CiphertextStore.use((store) => store.write(name, sha256(bytes), bytes)).pipe(Effect.result, Effect.provide(layer))
  )

/** Why a fetch that found only other bytes is put off. */
export const WRONG_BYTES = expect.stringContaining("has bytes that do not match the digest") as string

const noCache: CiphertextCache["Service"] = { shared: (_what, look) => look, get: () => Effect.succeed(undefined), put: () => Effect.void }

export const fetchFrom = (
  layer: Layer.Layer<CiphertextStore>,
  record: CiphertextRecord,
  bytesMax = PUBLIC_CIPHERTEXT_BYTES_MAX
) => Effect.runPromise(fetchOne(record, bytesMax).pipe(Effect.provideService(CiphertextCache, noCache), Effect.provide(layer)))

export const recordOf = (bytes: Uint8Array, ...locations: ReadonlyArray<string>): CiphertextRecord => ({
  handle: `0x${"01".repeat(32)}`,
  owner: `0x${"02".repeat(20)}`,
  digest: sha256(bytes),
  sizeBytes: bytes.length,
  epoch: 1,
  locations
})

export const ciphertextStoreLaws = (name: string, open: () => Promise<GivenStore>) => {
  const law = (promise: string, check: (store: GivenStore) => Promise<void>) =>
    test(promise, async () => {
      const store = await open()
      try {
        await check(store)
      } finally {
        await store.close()
      }
    })

  describe(name, () => {
    law("gives back what was written, whatever its size, at the location it answered", async ({ layer }) => {
      for (const size of [0, 1, 400, 64 * 1024, 64 * 1024 + 1, 1024 * 1024]) {
        const bytes = new Uint8Array(randomBytes(size))
        const location = Result.getOrThrow(await put(layer, bytes))
        expect(location).toMatch(/^store:\/\/main\/[0-9a-f]{2}\/[0-9a-f]{64}\.pct$/)
        expect(Result.getOrThrow(await readAll(layer, location))).toEqual(bytes)
      }
    })

    law("writes the same again without harm, and mends what was damaged", async ({ layer, plant }) => {
      const bytes = new Uint8Array(randomBytes(500))
      const location = Result.getOrThrow(await put(layer, bytes))
      await plant(location.slice("store://main/".length), new Uint8Array(3))
      expect(Result.getOrThrow(await put(layer, bytes))).toBe(location)
      expect(Result.getOrThrow(await readAll(layer, location))).toEqual(bytes)
    })

    law("hands out chunks of bounded size that stay as they are", async ({ layer, plant }) => {
      const bytes = new Uint8Array(randomBytes(3 * 1024 * 1024))
      await plant("large", bytes)
      const read = CiphertextStore.use((store) => Stream.runCollect(store.read("store://main/large")))
      const chunks = [...(await Effect.runPromise(Effect.provide(read, layer)))]
      expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(256 * 1024)
      expect(sha256(Buffer.concat(chunks))).toBe(sha256(bytes))
    })

    law("says that an object is missing when the store has answered so", async ({ layer }) => {
      expect(tagOf(await readAll(layer, `store://main/aa/${"a".repeat(64)}.pct`))).toBe("ObjectMissing")
      expect(tagOf(await readAll(layer, "store://main/no/such/thing"))).toBe("ObjectMissing")
    })

    law("never says missing when the store cannot be asked", async ({ layer, breakDown }) => {
      const location = Result.getOrThrow(await put(layer, new Uint8Array(10)))
      await breakDown()
      expect(tagOf(await readAll(layer, location))).toBe("StoreUnavailable")
      expect(tagOf(await readAll(layer, "store://main/other"))).toBe("StoreUnavailable")
    })

    law("refuses a store that is not configured, to read and to write", async ({ layer }) => {
      expect(tagOf(await readAll(layer, "store://other/x"))).toBe("LocationRefused")
      expect(tagOf(await put(layer, new Uint8Array(1), "other"))).toBe("LocationRefused")
    })

    law("stops at the largest size a ciphertext may have", async ({ layer, plant }) => {
      await plant("huge", new Uint8Array(CIPHERTEXT_BYTES_MAX + 1))
      expect(tagOf(await readAll(layer, "store://main/huge"))).toBe("LocationRefused")
      await plant("largest", new Uint8Array(CIPHERTEXT_BYTES_MAX))
      expect(tagOf(await readAll(layer, "store://main/largest"))).toBe("read")
    })

    law("lets a step take one chunk and go", async ({ layer, plant }) => {
      await plant("large", new Uint8Array(2 * 1024 * 1024))
      const first = CiphertextStore.use((store) => Stream.runHead(store.read("store://main/large")))
      for (let again = 0; again < 20; again++) await Effect.runPromise(Effect.provide(first, layer))
    })

    law("refuses every location that is not strictly one", async ({ layer, plant }) => {
      await plant("a/b", new Uint8Array(4))
      expect(tagOf(await readAll(layer, "store://main/a/b"))).toBe("read")
      const wrong = [
        "",
        "store://",
        "store://main",
        "store://main/",
        "store://main//a/b",
        "store://main/a//b",
        "store://main/a/b/",
        "store://main/./a/b",
        "store://main/a/../a/b",
        "store://main/../main/a/b",
        "store://main/a%2fb",
        "store://main/a\\b",
        "store://main/a/b?x",
        "store://main/a/b#x",
        "store://main/a/b\0",
        "store://main/A/B",
        "store://MAIN/a/b",
        "STORE://main/a/b",
        " store://main/a/b",
        "store://main@evil/a/b",
        "store://main:80/a/b",
        "store://user:pass@main/a/b",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "/etc/passwd",
        "store://main//etc/passwd",
        "store://main/.unfinished-x",
        `store://main/${"a".repeat(256)}`
      ]
      for (const location of wrong)
        expect([location, tagOf(await readAll(layer, location))]).toEqual([location, "LocationRefused"])
    })

    law("answers any text at all with one of its three errors, and never with bytes from elsewhere", async ({ layer }) => {
      const piece = fc.constantFrom(
        "store://",
        "main",
        "/",
        "..",
        ".",
        "%2e%2e",
        "\\",
        "\0",
        "etc",
        "passwd",
        "?",
        "#",
        "é",
        "aa",
        "~"
      )
      const crafted = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""))
      const behind = crafted.map((rest) => `store://main/${rest}`)
      await fc.assert(
        fc.asyncProperty(fc.oneof(crafted, behind, fc.string({ unit: "binary", maxLength: 300 })), async (location) => {
          expect(["LocationRefused", "ObjectMissing"]).toContain(tagOf(await readAll(layer, location)))
        }),
        { numRuns: 300 }
      )
    })

    law("is the ground for fetching: right bytes are fetched, others are named", async ({ layer, plant }) => {
      const bytes = new Uint8Array(randomBytes(400))
      const location = Result.getOrThrow(await put(layer, bytes))
      expect(await fetchFrom(layer, recordOf(bytes, location))).toEqual({ type: "fetched", bytes })
      await plant(location.slice("store://main/".length), bytes.with(7, bytes[7]! ^ 1))
      expect(await fetchFrom(layer, recordOf(bytes, location))).toMatchObject({ type: "later", reason: WRONG_BYTES })
      await plant(location.slice("store://main/".length), new Uint8Array(8 * 1024 * 1024))
      expect(await fetchFrom(layer, recordOf(bytes, location))).toMatchObject({ type: "later", reason: WRONG_BYTES })
      expect(await fetchFrom(layer, recordOf(bytes, "store://main/nothing"))).toMatchObject({
        type: "later",
        reason: expect.stringContaining("does not have it") as string
      })
    })
  })
}
