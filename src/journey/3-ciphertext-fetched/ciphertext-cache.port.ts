/** Ciphertexts this node has already fetched and checked, by digest. A miss is never an error, and bytes are re-checked on the way out. */
import { Context, type Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"

/** Right bytes, or why there are none yet. */
export type Found = { readonly type: "fetched"; readonly bytes: Uint8Array } | { readonly type: "later"; readonly reason: string }

export class CiphertextCache extends Context.Service<
  CiphertextCache,
  {
    readonly get: (digest: Hex) => Effect.Effect<Uint8Array | undefined>
    readonly put: (digest: Hex, bytes: Uint8Array) => Effect.Effect<void>
    /** Those who look for the same at once share one look and what came of it, which is not remembered. `what` names all that it depends on. */
    readonly shared: <R>(what: string, look: Effect.Effect<Found, never, R>) => Effect.Effect<Found, never, R>
  }
>()("portcullis/journey/3-ciphertext-fetched/CiphertextCache") {}
