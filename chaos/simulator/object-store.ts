/** The object store and each node's cache of it: bytes that may be missing, slow, altered, or not to be had. */
import { Effect, Exit, Layer, Stream } from "effect"
import type { Hex } from "../../src/domain/hex.ts"
import { CiphertextCache } from "../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextStore, LocationRefused, ObjectMissing, StoreUnavailable } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import type { Chance } from "./chance.ts"
import type { History } from "./history.ts"
import type { Link } from "./remote-call.ts"

export class SimObjectStore {
  readonly objects = new Map<string, Uint8Array>()
  /** How many of the answers are wrong in this way, 0 to 1. */
  readonly shares = { corrupt: 0, missing: 0, unavailable: 0 }
  private readonly history: History
  private readonly chance: Chance

  constructor(history: History, chance: Chance) {
    this.history = history
    this.chance = chance
  }

  read(location: string): Exit.Exit<Uint8Array, ObjectMissing | StoreUnavailable> {
    const { corrupt, missing, unavailable } = this.shares
    const [isMissing, isDown, isCorrupt] = [this.chance.happens(missing), this.chance.happens(unavailable), this.chance.happens(corrupt)]
    if (isMissing || isDown || isCorrupt) this.history.sometimes("object store failed")
    const bytes = this.objects.get(location)
    if (isMissing || bytes === undefined) return Exit.fail(new ObjectMissing({ location }))
    if (isDown) return Exit.fail(new StoreUnavailable({ location, cause: "503" }))
    return Exit.succeed(isCorrupt ? bytes.map((byte) => byte ^ 0xff) : bytes)
  }
}

export const storePorts = (link: Link, store: SimObjectStore) => {
  const cached = new Map<Hex, Uint8Array>()
  return Layer.mergeAll(
    Layer.succeed(CiphertextStore, {
      read: (location) =>
        Stream.fromEffect(
          link.call(
            "read an object",
            () => store.read(location),
            () => Exit.fail(new StoreUnavailable({ location, cause: "no answer in time" }))
          )
        ),
      write: (_store, digest) => Effect.fail(new LocationRefused({ location: digest, reason: "a gateway only reads" }))
    }),
    Layer.succeed(CiphertextCache, {
      shared: (_what, look) => look,
      get: (digest) => Effect.sync(() => cached.get(digest)),
      put: (digest, bytes) => Effect.sync(() => void cached.set(digest, bytes))
    })
  )
}
