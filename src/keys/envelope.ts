/**
 * Envelope encryption: bytes under a fresh data key, the data key under the key-encryption key, both bound to one context. What
 * is sealed may be stored anywhere; opening it with another context, another key or one altered bit fails and says nothing more.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"
import { encodeContext } from "./encryption-context.ts"
import { type EncryptionContext, KeyEncryptionKey } from "./key-encryption-key.port.ts"

const NONCE_BYTES = 12
const TAG_BYTES = 16
const TAG = new TextEncoder().encode("portcullis/envelope/v1")

export interface Sealed {
  /** Which key wrapped the data key. Not secret. */
  readonly keyId: string
  readonly wrappedKey: Uint8Array
  /** 12 bytes. */
  readonly nonce: Uint8Array
  /** AES-256-GCM with its 16-byte tag at the end. */
  readonly ciphertext: Uint8Array
}

/** The data key was right and the bytes under it are not what was sealed for this context. They have been altered or mixed up. */
export class SealBroken extends Schema.TaggedError<SealBroken>()("SealBroken", { keyId: Schema.String }) {
  readonly fate: Fate = "halt"
}

const aadOf = (context: EncryptionContext): Uint8Array => Buffer.concat([TAG, encodeContext(context)])

/** Leaves `plain` to its owner; the data key is overwritten before this returns. */
export const seal = Effect.fnUntraced(function* (plain: Uint8Array, context: EncryptionContext) {
  const kek = yield* KeyEncryptionKey
  const dataKey = yield* kek.generateDataKey(context)
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES))
  const cipher = createCipheriv("aes-256-gcm", dataKey.plain, nonce).setAAD(aadOf(context))
  dataKey.plain.fill(0)
  const ciphertext = new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
  return { keyId: kek.keyId, wrappedKey: dataKey.wrapped, nonce, ciphertext } satisfies Sealed
})

/** The caller overwrites what it gets. Fails with `SealBroken`, `UnwrapRefused` or `KeyProviderUnavailable`. */
export const open = Effect.fnUntraced(function* (sealed: Sealed, context: EncryptionContext) {
  const kek = yield* KeyEncryptionKey
  const tagAt = sealed.ciphertext.length - TAG_BYTES
  if (sealed.nonce.length !== NONCE_BYTES || tagAt < 0) return yield* new SealBroken({ keyId: kek.keyId })
  const dataKey = yield* kek.unwrap(sealed.wrappedKey, context)
  const decipher = createDecipheriv("aes-256-gcm", dataKey, sealed.nonce, { authTagLength: TAG_BYTES })
    .setAAD(aadOf(context))
    .setAuthTag(sealed.ciphertext.subarray(tagAt))
  dataKey.fill(0)
  const plain = decipher.update(sealed.ciphertext.subarray(0, tagAt))
  return yield* Effect.try({
    try: () => {
      decipher.final()
      return new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength)
    },
    catch: () => {
      plain.fill(0)
      return new SealBroken({ keyId: kek.keyId })
    }
  })
})
