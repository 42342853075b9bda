/** The stores that the operator named, and no others: a location is only a name until it names one of these. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { Effect, Layer, Stream } from "effect"
import { toHex } from "../../domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX, LOCATION_BYTES_MAX } from "../../domain/limits.ts"
import {
  CiphertextStore,
  LocationRefused,
  type StoreUnavailable
} from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { guardsHere } from "../../resilience/guards.ts"
import { directoryStore } from "./directory-store.ts"
import { guardedStore } from "./guarded-store.ts"
import { httpStore } from "./http-store.ts"
import { isDigest, isStoreName, locationOf, parseLocation } from "./location.ts"
import type { ObjectStore } from "./object-store.ts"

/** `name`: 1 to 32 of a-z, 0-9 and "-"; it stands in locations on chain, so it never changes. */
export type StoreOptions =
  | { readonly name: string; readonly kind: "directory"; readonly path: string }
  /** `baseUrl`: http or https, without query, fragment and credentials. */
  | { readonly name: string; readonly kind: "http"; readonly baseUrl: string }

/** A whole HTTP request. The largest ciphertext (16 MiB) arrives in time at 1 MiB/s. */
const HTTP_TIMEOUT_MS = 16_000

export const ciphertextStoreLayer = (
  stores: ReadonlyArray<StoreOptions>,
  { httpTimeoutMs = HTTP_TIMEOUT_MS }: { readonly httpTimeoutMs?: number } = {}
): Layer.Layer<CiphertextStore> =>
  Layer.effect(
    CiphertextStore,
    Effect.map(guardsHere, (guards) =>
      CiphertextStore.of(
        storesByName(
          new Map(
            stores.map((store) => [store.name, guardedStore(guards, store.name, httpTimeoutMs, objectStoreOf(store, httpTimeoutMs))])
          ),
          stores.length
        )
      )
    )
  )

const storesByName = (byName: ReadonlyMap<string, ObjectStore>, stores: number): CiphertextStore["Service"] => {
  assert(byName.size === stores, "two stores with one name")

  return {
    read: (location) => {
      const parsed = parseLocation(location)
      if ("fault" in parsed) return Stream.fail(refused(location, parsed.fault))
      const store = byName.get(parsed.store)
      if (store === undefined) return Stream.fail(refused(location, "names a store that is not configured"))
      return atMost(CIPHERTEXT_BYTES_MAX, location, store.read(location, parsed.key))
    },
    write: (name, digest, bytes) =>
      Effect.suspend((): Effect.Effect<string, StoreUnavailable | LocationRefused> => {
        assert(isDigest(digest), "a digest is 0x and 64 lower-case hex digits")
        assert(toHex(createHash("sha256").update(bytes).digest()) === digest, "the digest is that of the bytes")
        assert(bytes.length <= CIPHERTEXT_BYTES_MAX, "no ciphertext is larger")
        const store = byName.get(name)
        const location = locationOf(name, digest)
        return store === undefined
          ? Effect.fail(refused(location, "names a store that is not configured"))
          : Effect.as(store.write(digest, bytes), location)
      })
  }
}

/** What is wrong with a store as somebody configured it; undefined when nothing is. */
export const faultOfStore = (store: StoreOptions): string | undefined => {
  if (!isStoreName(store.name))
    return `${JSON.stringify(store.name)} is no store name: 1 to 32 of a-z, 0-9 and "-", not beginning with "-"`
  if (store.kind === "directory") return store.path === "" ? `store ${store.name} has no path` : undefined
  const url = URL.parse(store.baseUrl)
  if (url === null || !/^https?:$/.test(url.protocol)) return `store ${store.name}: its base URL is not http or https`
  return /[?#]/.test(store.baseUrl) || url.username !== "" || url.password !== ""
    ? `store ${store.name}: its base URL has a query, a fragment or credentials`
    : undefined
}

const objectStoreOf = (store: StoreOptions, httpTimeoutMs: number): ObjectStore => {
  assert.equal(faultOfStore(store), undefined)
  return store.kind === "directory" ? directoryStore(store.name, store.path) : httpStore(store.name, store.baseUrl, httpTimeoutMs)
}

/** Foreign text in an error: whole, when it is no longer than a location may be. */
const refused = (location: string, reason: string): LocationRefused =>
  new LocationRefused({ location: location.slice(0, LOCATION_BYTES_MAX), reason })

/** Ends with a refusal after `bytesMax`: whoever reads without a limit of its own is bounded all the same. */
const atMost = <E>(
  bytesMax: number,
  location: string,
  chunks: Stream.Stream<Uint8Array, E>
): Stream.Stream<Uint8Array, E | LocationRefused> =>
  Stream.suspend(() => {
    let sizeBytes = 0
    return Stream.mapEffect(chunks, (chunk) => {
      sizeBytes += chunk.length
      return sizeBytes > bytesMax ? Effect.fail(refused(location, "is larger than any ciphertext")) : Effect.succeed(chunk)
    })
  })
