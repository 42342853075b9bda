/** The key that wraps data keys. A local file now, cloud providers and HSMs later; whoever seals never sees it. */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"

/** The provider could not be asked. Nothing is known about the key. */
export class KeyProviderUnavailable extends Schema.TaggedError<KeyProviderUnavailable>()("KeyProviderUnavailable", {
  keyId: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

/** The provider answered: this was not wrapped by this key, or for this context, or it has been altered. */
export class UnwrapRefused extends Schema.TaggedError<UnwrapRefused>()("UnwrapRefused", { keyId: Schema.String }) {
  readonly fate: Fate = "halt"
}

/** Bound to the wrapped key as additional authenticated data: the same pairs must be given to unwrap it. Not secret. */
export type EncryptionContext = Readonly<Record<string, string>>

export class KeyEncryptionKey extends Context.Service<
  KeyEncryptionKey,
  {
    /** Names the key in sealed records; not secret. */
    readonly keyId: string
    /** A fresh 32-byte data key and its wrapped form. The caller zeroises the plain one. */
    readonly generateDataKey: (
      context: EncryptionContext
    ) => Effect.Effect<{ readonly plain: Uint8Array; readonly wrapped: Uint8Array }, KeyProviderUnavailable>
    readonly unwrap: (wrapped: Uint8Array, context: EncryptionContext) => Effect.Effect<Uint8Array, KeyProviderUnavailable | UnwrapRefused>
  }
>()("portcullis/keys/KeyEncryptionKey") {}
