/** Where ciphertext bytes come from. Locations are foreign text: only stores the operator named are ever read. */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { Fate } from "../../domain/fate.ts"

/** The store could not be asked. The bytes may well be there. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  location: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

/** The store answered that it has no such object. Another location may have it; an upload may still be under way. */
export class ObjectMissing extends Schema.TaggedError<ObjectMissing>()("ObjectMissing", { location: Schema.String }) {
  readonly fate: Fate = "retry"
}

/** The location names no store of ours, or is not a location at all. It will not get better. */
export class LocationRefused extends Schema.TaggedError<LocationRefused>()("LocationRefused", {
  location: Schema.String,
  reason: Schema.String
}) {
  readonly fate: Fate = "refuse"
}

export class CiphertextStore extends Context.Service<
  CiphertextStore,
  {
    readonly read: (location: string) => Stream.Stream<Uint8Array, StoreUnavailable | ObjectMissing | LocationRefused>
    /** Used by the client and by `portcullis encrypt`; answers the location. The key is chosen by the store from the digest. */
    readonly write: (store: string, digest: string, bytes: Uint8Array) => Effect.Effect<string, StoreUnavailable | LocationRefused>
  }
>()("portcullis/journey/3-ciphertext-fetched/CiphertextStore") {}
