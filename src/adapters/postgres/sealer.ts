/**
 * Sealer under a key-encryption key: each process has a data key of its own, whose wrapped form stands in every record it seals,
 * so that any process with the same key-encryption key opens it and a key provider is asked once, not for every row.
 *
 *     record = 01 | length of key id (1) | key id | length of wrapped key (2, big-endian) | wrapped key | nonce (12) | ciphertext | tag (16)
 *
 * AES-256-GCM; everything before the nonce and the row's context are authenticated with it.
 */
import { Effect, Layer, Semaphore } from "effect"
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto"
import { encodeContext } from "../../keys/encryption-context.ts"
import { KeyEncryptionKey } from "../../keys/key-encryption-key.port.ts"
import { Sealer, SealerUnavailable, SealRejected } from "../../ledger/sealer.port.ts"

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** NIST SP 800-38D section 8.3 allows 2^32 random nonces for one key; a new key costs one call. */
const SEALS_PER_KEY_MAX = 2 ** 24
/** Data keys of other processes that are kept unwrapped. */
const OPENED_KEYS_MAX = 256
const PURPOSE = { purpose: "portcullis/ledger" }

type Kek = KeyEncryptionKey["Service"]

interface DataKey {
  readonly key: KeyObject
  readonly header: Buffer
  seals: number
}

const headerOf = (keyId: string, wrapped: Uint8Array): Buffer => {
  const id = Buffer.from(keyId, "utf8")
  const header = Buffer.alloc(4 + id.length + wrapped.length)
  header.writeUInt8(VERSION, 0)
  header.writeUInt8(id.length, 1)
  header.set(id, 2)
  header.writeUInt16BE(wrapped.length, 2 + id.length)
  header.set(wrapped, 4 + id.length)
  return header
}

interface Parts {
  readonly keyId: string
  readonly wrapped: Buffer
  readonly header: Buffer
  readonly nonce: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

const parse = (sealed: Uint8Array): Parts | undefined => {
  const record = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  if (record.length < 4 || record.readUInt8(0) !== VERSION) return undefined
  const idEnd = 2 + record.readUInt8(1)
  if (record.length < idEnd + 2) return undefined
  const headerEnd = idEnd + 2 + record.readUInt16BE(idEnd)
  if (record.length < headerEnd + NONCE_BYTES + TAG_BYTES) return undefined
  return {
    keyId: record.toString("utf8", 2, idEnd),
    wrapped: record.subarray(idEnd + 2, headerEnd),
    header: record.subarray(0, headerEnd),
    nonce: record.subarray(headerEnd, headerEnd + NONCE_BYTES),
    ciphertext: record.subarray(headerEnd + NONCE_BYTES, -TAG_BYTES),
    tag: record.subarray(-TAG_BYTES)
  }
}

const keyFrom = (plain: Uint8Array): KeyObject => {
  const key = createSecretKey(plain)
  plain.fill(0)
  return key
}

const decrypt = (key: KeyObject, parts: Parts, aad: Buffer): Uint8Array | undefined => {
  const decipher = createDecipheriv("aes-256-gcm", key, parts.nonce, { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(parts.tag)
  const plain = decipher.update(parts.ciphertext)
  try {
    decipher.final()
    return new Uint8Array(plain)
  } catch {
    return undefined
  } finally {
    plain.fill(0)
  }
}

/** Seals under `current`; opens what `current` or one of the `former` key-encryption keys wrapped, told apart by their ids. */
export const makeSealer = (current: Kek, former: ReadonlyArray<Kek> = []): Sealer["Service"] => {
  const keks = new Map([...former, current].map((kek) => [kek.keyId, kek]))
  const opened = new Map<string, KeyObject>()
  const oneAtATime = Semaphore.makeUnsafe(1)
  let own: DataKey | undefined

  const usable = () => (own !== undefined && own.seals < SEALS_PER_KEY_MAX ? own : undefined)

  const ownKey: Effect.Effect<DataKey, SealerUnavailable> = Effect.suspend(() => {
    const ready = usable()
    if (ready !== undefined) return Effect.succeed(ready)
    return current.generateDataKey(PURPOSE).pipe(
      Effect.map(({ plain, wrapped }) => (own = { key: keyFrom(plain), header: headerOf(current.keyId, wrapped), seals: 0 })),
      Effect.mapError((cause) => new SealerUnavailable({ cause }))
    )
  })

  const foreignKey = Effect.fnUntraced(function*({ keyId, wrapped }: Parts) {
    const name = `${keyId}/${wrapped.toString("base64")}`
    const known = opened.get(name)
    if (known !== undefined) return known
    const kek = keks.get(keyId)
    if (kek === undefined) {
      return yield* new SealRejected({ reason: `it was sealed under the key ${keyId}, which is not configured here` })
    }
    const plain = yield* kek.unwrap(wrapped, PURPOSE).pipe(
      Effect.catchTags({
        KeyProviderUnavailable: (cause) => Effect.fail(new SealerUnavailable({ cause })),
        UnwrapRefused: () => Effect.fail(new SealRejected({ reason: `its data key was not wrapped by the key ${keyId}` }))
      })
    )
    const key = keyFrom(plain)
    opened.set(name, key)
    const oldest = opened.size > OPENED_KEYS_MAX ? opened.keys().next().value : undefined
    if (oldest !== undefined) opened.delete(oldest)
    return key
  })

  return Sealer.of({
    seal: Effect.fnUntraced(function*(context, plain) {
      const dataKey = usable() ?? (yield* oneAtATime.withPermits(1)(ownKey))
      dataKey.seals += 1
      const nonce = randomBytes(NONCE_BYTES)
      const aad = Buffer.concat([dataKey.header, encodeContext(context)])
      const cipher = createCipheriv("aes-256-gcm", dataKey.key, nonce).setAAD(aad)
      return new Uint8Array(Buffer.concat([dataKey.header, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
    }),
    open: Effect.fnUntraced(function*(context, sealed) {
      const parts = parse(sealed)
      if (parts === undefined) return yield* new SealRejected({ reason: "it is not a sealed record" })
      const key = yield* foreignKey(parts)
      const plain = decrypt(key, parts, Buffer.concat([parts.header, encodeContext(context)]))
      if (plain === undefined) return yield* new SealRejected({ reason: "it was altered, or belongs to another row" })
      return plain
    })
  })
}

/** With the process's key-encryption key; `former` ones stay readable until everything sealed under them has ended. */
export const sealerLayer = (former: ReadonlyArray<Kek> = []): Layer.Layer<Sealer, never, KeyEncryptionKey> =>
  Layer.effect(Sealer, Effect.map(KeyEncryptionKey, (current) => makeSealer(current, former)))
