/** The object store and each node's cache of it: bytes that may be missing, slow, altered, or not to be had. */
import { Effect, Exit, Layer, Stream } from "effect"
import { locationOf, parseLocation } from "../../src/adapters/object-store/location.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX } from "../../src/domain/limits.ts"
import { CiphertextCache } from "../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextStore, LocationRefused, ObjectMissing, StoreUnavailable } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import type { Chance } from "./chance.ts"
import type { History } from "./history.ts"
import type { Link } from "./remote-call.ts"

type ReadFault = ObjectMissing | StoreUnavailable | LocationRefused

const refused = (location: string, reason: string) => new LocationRefused({ location, reason })

/** What is handed out at once. */
const CHUNK_BYTES = 64 * 1024

const chunksOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / CHUNK_BYTES) }, (_, index) => bytes.slice(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES))

export class SimObjectStore {
  /** By their location. */
  readonly objects = new Map<string, Uint8Array>()
  /** How many of the answers are wrong in this way, 0 to 1. */
  readonly shares = { corrupt: 0, missing: 0, unavailable: 0 }
  private readonly names: ReadonlySet<string>
  private readonly history: History
  private readonly chance: Chance

  /** Stores of these names are configured. */
  constructor(names: ReadonlyArray<string>, history: History, chance: Chance) {
    this.names = new Set(names)
    this.history = history
    this.chance = chance
  }

  read(location: string): Exit.Exit<Uint8Array, ReadFault> {
    const parsed = parseLocation(location)
    if ("fault" in parsed) return Exit.fail(refused(location, parsed.fault))
    if (!this.names.has(parsed.store)) return Exit.fail(refused(location, "names a store that is not configured"))
    const { corrupt, missing, unavailable } = this.shares
    const [isMissing, isDown, isCorrupt] = [this.chance.happens(missing), this.chance.happens(unavailable), this.chance.happens(corrupt)]
    if (isMissing || isDown || isCorrupt) this.history.sometimes("object store failed")
    if (isDown) return Exit.fail(new StoreUnavailable({ location, cause: "503" }))
    const bytes = this.objects.get(location)
    if (isMissing || bytes === undefined) return Exit.fail(new ObjectMissing({ location }))
    if (bytes.length > CIPHERTEXT_BYTES_MAX) return Exit.fail(refused(location, "is larger than a ciphertext may be"))
    return Exit.succeed(isCorrupt ? bytes.map((byte) => byte ^ 0xff) : bytes)
  }

  write(name: string, digest: string, bytes: Uint8Array): Exit.Exit<string, LocationRefused> {
    const location = locationOf(name, digest)
    if (!this.names.has(name)) return Exit.fail(refused(location, "names a store that is not configured"))
    this.objects.set(location, bytes.slice())
    return Exit.succeed(location)
  }
}

export const storePorts = (link: Link, store: SimObjectStore) => {
  const cached = new Map<Hex, Uint8Array>()
  const call = <A, E>(what: string, location: string, serve: () => Exit.Exit<A, E>) =>
    link.call<A, E, StoreUnavailable>(what, serve, () => Exit.fail(new StoreUnavailable({ location, cause: "no answer in time" })))
  return Layer.mergeAll(
    Layer.succeed(CiphertextStore, {
      read: (location) =>
        Stream.unwrap(
          Effect.map(
            call("read an object", location, () => store.read(location)),
            (bytes) => Stream.fromIterable(chunksOf(bytes))
          )
        ),
      write: (name, digest, bytes) => call("write an object", locationOf(name, digest), () => store.write(name, digest, bytes))
    }),
    Layer.succeed(CiphertextCache, {
      shared: (_what, look) => look,
      get: (digest) => Effect.sync(() => cached.get(digest)),
      put: (digest, bytes) => Effect.sync(() => void cached.set(digest, bytes))
    })
  )
}
