/**
 * A key-encryption key in a file of its owner: 32 random bytes that nobody else may read. Whoever has the file and the sealed
 * bytes has everything, so keep the two apart; providers that never show their key come to the same port.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { Effect, Layer, Schema } from "effect"
import type { Fate } from "../../domain/fate.ts"
import { encodeContext } from "../../keys/encryption-context.ts"
import { type EncryptionContext, KeyEncryptionKey, UnwrapRefused } from "../../keys/key-encryption-key.port.ts"

export const KEY_BYTES = 32
const FORMAT = 0x01
const SALT_BYTES = 32
const TAG_BYTES = 16
const WRAPPED_BYTES = 1 + SALT_BYTES + KEY_BYTES + TAG_BYTES
const INFO = "portcullis/local-kek/v1"

/** The key file cannot be used. Nothing of its content is said. */
export class KeyFileRejected extends Schema.TaggedError<KeyFileRejected>()("KeyFileRejected", {
  path: Schema.String,
  reason: Schema.Literals(["unreadable", "not a regular file", "open to others than its owner", "not exactly 32 bytes"])
}) {
  readonly fate: Fate = "halt"
  override get message() {
    return `${this.path}: ${this.reason}${this.reason.startsWith("open") ? " (chmod 600)" : ""}`
  }
}

/** Reads the key through one descriptor, so that what was checked is what is read. */
const readKey = (path: string) =>
  Effect.tryPromise({
    try: async () => {
      const rejected = (reason: KeyFileRejected["reason"]) => new KeyFileRejected({ path, reason })
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const stat = await file.stat()
        if (!stat.isFile()) throw rejected("not a regular file")
        if ((stat.mode & 0o077) !== 0) throw rejected("open to others than its owner")
        if (stat.size !== KEY_BYTES) throw rejected("not exactly 32 bytes")
        const key = new Uint8Array(KEY_BYTES)
        const { bytesRead } = await file.read(key, 0, KEY_BYTES, 0)
        if (bytesRead !== KEY_BYTES) throw rejected("not exactly 32 bytes")
        return key
      } finally {
        await file.close()
      }
    },
    catch: (cause) => (cause instanceof KeyFileRejected ? cause : new KeyFileRejected({ path, reason: "unreadable" }))
  })

/**
 * A fresh key and nonce for every wrap, from a 32-byte salt: random nonces under one key would have to stop at 2^32 wraps
 * (NIST SP 800-38D, section 8.3).
 */
const oneTimeKey = (kek: Uint8Array, salt: Uint8Array) => {
  const derived = new Uint8Array(hkdfSync("sha256", kek, salt, INFO, 44))
  return { key: derived.subarray(0, 32), nonce: derived.subarray(32), erase: () => void derived.fill(0) }
}

const wrap = (kek: Uint8Array, plain: Uint8Array, context: EncryptionContext): Uint8Array => {
  const salt = randomBytes(SALT_BYTES)
  const once = oneTimeKey(kek, salt)
  const cipher = createCipheriv("aes-256-gcm", once.key, once.nonce).setAAD(encodeContext(context))
  once.erase()
  return new Uint8Array(Buffer.concat([Uint8Array.of(FORMAT), salt, cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
}

const unwrap = (kek: Uint8Array, wrapped: Uint8Array, context: EncryptionContext): Uint8Array | undefined => {
  if (wrapped.length !== WRAPPED_BYTES || wrapped[0] !== FORMAT) return undefined
  const [body, tag] = [1 + SALT_BYTES, WRAPPED_BYTES - TAG_BYTES]
  const once = oneTimeKey(kek, wrapped.subarray(1, body))
  const decipher = createDecipheriv("aes-256-gcm", once.key, once.nonce, { authTagLength: TAG_BYTES })
    .setAAD(encodeContext(context))
    .setAuthTag(wrapped.subarray(tag))
  once.erase()
  const plain = decipher.update(wrapped.subarray(body, tag))
  try {
    decipher.final()
    return new Uint8Array(plain)
  } catch {
    return undefined
  } finally {
    plain.fill(0)
  }
}

/** The key lives in memory as long as the layer, and is overwritten after that. */
export const localKeyEncryptionKeyLayer = (options: { readonly path: string }): Layer.Layer<KeyEncryptionKey, KeyFileRejected> =>
  Layer.effect(
    KeyEncryptionKey,
    Effect.gen(function* () {
      const kek = yield* Effect.acquireRelease(readKey(options.path), (key) => Effect.sync(() => key.fill(0)))
      // A fingerprint of 256 random bits tells nothing about them.
      const keyId = `local:${createHash("sha256").update(INFO).update(kek).digest("hex").slice(0, 16)}`
      return {
        keyId,
        generateDataKey: (context) =>
          Effect.sync(() => {
            const plain = new Uint8Array(randomBytes(KEY_BYTES))
            return { plain, wrapped: wrap(kek, plain, context) }
          }),
        unwrap: (wrapped, context) =>
          Effect.suspend(() => {
            const plain = unwrap(kek, wrapped, context)
            return plain === undefined ? Effect.fail(new UnwrapRefused({ keyId })) : Effect.succeed(plain)
          })
      }
    })
  )
