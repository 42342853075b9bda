/** One store, as the layer sees it: the key has been checked, and the location only stands in errors. */
import type { Effect, Stream } from "effect"
import type {
  LocationRefused,
  ObjectMissing,
  StoreUnavailable
} from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"

export interface ObjectStore {
  readonly read: (location: string, key: string) => Stream.Stream<Uint8Array, StoreUnavailable | ObjectMissing | LocationRefused>
  /** Under the key of the digest. The digest has been checked. */
  readonly write: (digest: string, bytes: Uint8Array) => Effect.Effect<void, StoreUnavailable>
}
