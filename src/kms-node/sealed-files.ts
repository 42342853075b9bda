/**
 * What a node keeps on disk, as JSON: its share of one epoch and its identity key, each sealed under the operator's
 * key-encryption key and bound to what it is, whose it is and where it comes from. A file that is renamed, swapped or altered
 * does not open.
 */
import { Effect, Schema } from "effect"
import type { NodeId } from "../domain/committee.ts"
import { type Hex, parseHex, toHex } from "../domain/hex.ts"
import { COMMITTEE_NODES_MAX } from "../domain/limits.ts"
import { open, type Sealed, seal } from "../keys/envelope.ts"
import type { EncryptionContext } from "../keys/key-encryption-key.port.ts"
import { readSecret, SCALAR_BYTES } from "../threshold/scalar.ts"
import { IDENTITY_SECRET_BYTES, identityOf } from "./identity-signature.ts"
import { type EpochSecrets, VaultRejected } from "./share-vault.port.ts"

const SUITE = "portcullis/native/bls12-381/v1"
const PUBLIC_KEY_BYTES = 96

/** `development-dealer`: one process has seen the whole key. Good for a laptop; never for anything of value. */
export const ORIGINS = ["development-dealer"] as const
export type Origin = (typeof ORIGINS)[number]

const HexText = Schema.String.pipe(Schema.check(Schema.isPattern(/^0x(?:[0-9a-f]{2})*$/)))
const SmallInt = (max: number) => Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: max })))

const sealedFields = { keyId: Schema.String, wrappedKey: HexText, nonce: HexText, ciphertext: HexText }
const commonFields = {
  version: Schema.Literal(1),
  origin: Schema.Literals(ORIGINS),
  nodeId: SmallInt(COMMITTEE_NODES_MAX),
  ...sealedFields
}

export const ShareFile = Schema.Struct({
  kind: Schema.Literal("portcullis-share"),
  suite: Schema.Literal(SUITE),
  epoch: SmallInt(0xff_ff_ff_ff),
  ...commonFields
})
export type ShareFile = typeof ShareFile.Type

export const IdentityFile = Schema.Struct({ kind: Schema.Literal("portcullis-identity"), identity: HexText, ...commonFields })
export type IdentityFile = typeof IdentityFile.Type

/** Everything about a file but its sealed part: what the sealed part is bound to. */
type Binding<File> = Omit<File, keyof typeof sealedFields>

const contextOf = (binding: Binding<ShareFile> | Binding<IdentityFile>): EncryptionContext =>
  Object.fromEntries(
    Object.entries(binding)
      .filter(([name]) => !(name in sealedFields))
      .map(([name, value]) => [name, String(value)])
  )

const writeSealed = ({ keyId, wrappedKey, nonce, ciphertext }: Sealed) => ({
  keyId,
  wrappedKey: toHex(wrappedKey),
  nonce: toHex(nonce),
  ciphertext: toHex(ciphertext)
})

const bytes = (hex: string): Uint8Array => parseHex(hex) ?? new Uint8Array()

const readSealed = (file: Pick<ShareFile, keyof typeof sealedFields>): Sealed => ({
  keyId: file.keyId,
  wrappedKey: bytes(file.wrappedKey),
  nonce: bytes(file.nonce),
  ciphertext: bytes(file.ciphertext)
})

/** Overwrites the secrets it was given once they are sealed. */
export const sealShare = Effect.fnUntraced(function* (nodeId: NodeId, origin: Origin, secrets: EpochSecrets) {
  const binding = { kind: "portcullis-share", version: 1, suite: SUITE, origin, epoch: secrets.epoch, nodeId } as const
  const plain = new Uint8Array(
    Buffer.concat([secrets.decryption, secrets.attestation, secrets.decryptionKey, secrets.attestationKey])
  )
  secrets.decryption.fill(0)
  secrets.attestation.fill(0)
  const sealed = yield* Effect.ensuring(
    seal(plain, contextOf(binding)),
    Effect.sync(() => plain.fill(0))
  )
  return { ...binding, ...writeSealed(sealed) } satisfies ShareFile
})

/** Overwrites the secret once it is sealed. */
export const sealIdentity = Effect.fnUntraced(function* (nodeId: NodeId, origin: Origin, identity: Hex, secret: Uint8Array) {
  const binding = { kind: "portcullis-identity", version: 1, origin, nodeId, identity } as const
  const sealed = yield* Effect.ensuring(
    seal(secret, contextOf(binding)),
    Effect.sync(() => secret.fill(0))
  )
  return { ...binding, ...writeSealed(sealed) } satisfies IdentityFile
})

/** Says which key a file wants and which one there is, because mixing them up is what happens. */
const opened = (name: string, file: ShareFile | IdentityFile) =>
  open(readSealed(file), contextOf(file)).pipe(
    Effect.catchTag("UnwrapRefused", ({ keyId }) =>
      Effect.fail(
        new VaultRejected({
          file: name,
          reason:
            keyId === file.keyId
              ? "it has been altered, or belongs to another node or epoch"
              : `sealed under key ${file.keyId}, this is ${keyId}`
        })
      )
    ),
    Effect.catchTag("SealBroken", () => Effect.fail(new VaultRejected({ file: name, reason: "it has been altered" })))
  )

/** The caller owns the secrets and overwrites them. `name` is only for errors. */
export const openShare = Effect.fnUntraced(function* (name: string, file: ShareFile) {
  const plain = yield* opened(name, file)
  const [a, pk, apk, end] = [
    SCALAR_BYTES,
    2 * SCALAR_BYTES,
    2 * SCALAR_BYTES + PUBLIC_KEY_BYTES,
    2 * (SCALAR_BYTES + PUBLIC_KEY_BYTES)
  ]
  return yield* Effect.try({
    try: (): EpochSecrets => {
      if (plain.length !== end) throw new RangeError()
      return {
        epoch: file.epoch,
        decryption: readSecret(plain.subarray(0, a)),
        attestation: readSecret(plain.subarray(a, pk)),
        decryptionKey: plain.slice(pk, apk),
        attestationKey: plain.slice(apk)
      }
    },
    catch: () => new VaultRejected({ file: name, reason: "what is sealed in it is not a share" })
  }).pipe(Effect.ensuring(Effect.sync(() => plain.fill(0))))
})

/** The identity's secret key, 32 bytes. The caller overwrites it. */
export const openIdentity = Effect.fnUntraced(function* (name: string, file: IdentityFile) {
  const secret = yield* opened(name, file)
  if (secret.length === IDENTITY_SECRET_BYTES && identityOf(secret) === file.identity) return secret
  secret.fill(0)
  return yield* new VaultRejected({ file: name, reason: "what is sealed in it is not the key of its identity" })
})
