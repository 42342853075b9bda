/** Ciphertexts this node has already fetched and checked, by digest. A miss is never an error, and bytes are re-checked on the way out. */
import { Context, type Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"

export class CiphertextCache extends Context.Service<
  CiphertextCache,
  {
    readonly get: (digest: Hex) => Effect.Effect<Uint8Array | undefined>
    readonly put: (digest: Hex, bytes: Uint8Array) => Effect.Effect<void>
  }
>()("portcullis/journey/3-ciphertext-fetched/CiphertextCache") {}
