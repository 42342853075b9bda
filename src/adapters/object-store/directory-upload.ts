/**
 * What the client library needs of a store, kept in a directory: for tools and tests that put ciphertexts where a local gateway
 * reads them.
 */
import { Effect } from "effect"
import { CiphertextStore } from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { ciphertextStoreLayer } from "./ciphertext-store.layer.ts"

/** `put` answers the location. Rejects with `StoreUnavailable`. `name` is what gateways call this store. */
export const directoryUpload = (name: string, path: string) => {
  const layer = ciphertextStoreLayer([{ name, kind: "directory", path }])
  return {
    put: (digest: string, bytes: Uint8Array): Promise<string> =>
      Effect.runPromise(CiphertextStore.use((store) => store.write(name, digest, bytes)).pipe(Effect.provide(layer)))
  }
}
