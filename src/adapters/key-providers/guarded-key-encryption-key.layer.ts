/**
 * The guard around any key provider: a provider that fails or hangs is left alone for a while. That a key was wrapped for
 * something else, or altered, is an answer, and never makes anybody doubt the provider.
 */
import { Effect, Layer } from "effect"
import { KeyEncryptionKey, KeyProviderUnavailable } from "../../keys/key-encryption-key.port.ts"
import { type CallFault, guardsHere } from "../../resilience/guards.ts"

/** Stands between whoever seals and the provider below it. */
export const guardedKeyEncryptionKeyLayer: Layer.Layer<KeyEncryptionKey, never, KeyEncryptionKey> = Layer.effect(
  KeyEncryptionKey,
  Effect.gen(function* () {
    const provider = yield* KeyEncryptionKey
    const guards = yield* guardsHere
    const { keyId } = provider
    const guard = (method: string) =>
      guards.guard({
        dependency: "key-provider",
        target: keyId,
        method,
        isOutage: ({ _tag }: { readonly _tag: string }) => _tag === "KeyProviderUnavailable",
        unavailable: (cause: CallFault) => new KeyProviderUnavailable({ keyId, cause })
      })
    return KeyEncryptionKey.of({
      keyId,
      generateDataKey: (context) => guard("generate-data-key")(provider.generateDataKey(context)),
      unwrap: (wrapped, context) => guard("unwrap")(provider.unwrap(wrapped, context))
    })
  })
)
