/**
 * The development dealer's files: one directory for each node, and the public committee record. Whoever runs this has seen the
 * whole key, so every file says where it comes from. It never overwrites anything.
 */
import { randomBytes } from "node:crypto"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Layer, Schema } from "effect"
import type { AttestationScheme, Committee, NodeId } from "../../domain/committee.ts"
import type { Fate } from "../../domain/fate.ts"
import { type Hex, lower, toHex } from "../../domain/hex.ts"
import type { KeyEncryptionKey } from "../../keys/key-encryption-key.port.ts"
import { NATIVE_SUITE_ID } from "../../kms-node/epoch-keys.ts"
import { identityOf } from "../../kms-node/identity-signature.ts"
import { sealIdentity, sealShare } from "../../kms-node/sealed-files.ts"
import { dealKey, type DealtKey } from "../../threshold/deal.ts"
import type { Bls12381Engine } from "../../threshold/engine.ts"
import { IDENTITY_FILE, shareFileName } from "./file-share-vault.layer.ts"

export const COMMITTEE_FILE = "committee.json"
export const KEY_FILE = "key-encryption-key"
export const nodeDirectory = (directory: string, id: NodeId): string => join(directory, `node-${id}`)

const WARNING = `These keys were dealt by one process on one machine for development. Whoever ran it could decrypt
everything that is encrypted for this committee. Never use them for anything of value.
`

export interface DealOptions {
  readonly engine: Bls12381Engine
  readonly directory: string
  readonly epoch: number
  readonly threshold: number
  readonly nodes: number
  readonly scheme: AttestationScheme
  /** host:port under which node i will serve. */
  readonly endpoint: (id: NodeId) => string
  /** Opens the key-encryption key under which a node's files are sealed, from the file that was just written. */
  readonly keyLayer: (path: string) => Layer.Layer<KeyEncryptionKey, { readonly message: string }>
}

/** A file could not be written or is there already. What had been written before stays; start again in an empty directory. */
export class DealFailed extends Schema.TaggedError<DealFailed>()("DealFailed", { path: Schema.String, reason: Schema.String }) {
  readonly fate: Fate = "halt"
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

const failed = (path: string) => (cause: unknown) =>
  new DealFailed({
    path,
    reason: typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "cannot be written"
  })

const write = (path: string, content: string | Uint8Array, mode: number) =>
  Effect.tryPromise({ try: () => writeFile(path, content, { flag: "wx", mode }), catch: failed(path) })

const writeJson = (path: string, value: unknown, mode: number) => write(path, `${JSON.stringify(value, undefined, 2)}\n`, mode)

const freshIdentity = (): { readonly secret: Uint8Array; readonly identity: Hex } => {
  for (;;) {
    const secret = new Uint8Array(randomBytes(32))
    const identity = identityOf(secret)
    if (identity !== undefined) return { secret, identity }
  }
}

const secretOf = (key: DealtKey, id: NodeId): Uint8Array => key.shares.find(({ nodeId }) => nodeId === id)!.secret

/** The identity and the share of one node, sealed under its key. */
const sealNode = Effect.fnUntraced(function* (id: NodeId, epoch: number, decryption: DealtKey, attestation: DealtKey) {
  const { secret, identity } = freshIdentity()
  return {
    identity: yield* sealIdentity(id, "development-dealer", identity, secret),
    share: yield* sealShare(id, "development-dealer", {
      epoch,
      decryption: secretOf(decryption, id),
      attestation: secretOf(attestation, id),
      decryptionKey: decryption.publicKey,
      attestationKey: attestation.publicKey
    })
  }
})

/** Everything one node gets: its key-encryption key, its identity and its share. Answers the identity's address. */
const writeNode = Effect.fnUntraced(function* (options: DealOptions, id: NodeId, decryption: DealtKey, attestation: DealtKey) {
  const directory = nodeDirectory(options.directory, id)
  yield* Effect.tryPromise({ try: () => mkdir(directory, { mode: 0o700 }), catch: failed(directory) })
  const keyPath = join(directory, KEY_FILE)
  const key = new Uint8Array(randomBytes(32))
  yield* Effect.ensuring(
    write(keyPath, key, 0o600),
    Effect.sync(() => key.fill(0))
  )
  const sealed = yield* sealNode(id, options.epoch, decryption, attestation).pipe(
    Effect.provide(options.keyLayer(keyPath)),
    Effect.mapError(({ message }) => new DealFailed({ path: keyPath, reason: message }))
  )
  yield* writeJson(join(directory, IDENTITY_FILE), sealed.identity, 0o600)
  yield* writeJson(join(directory, shareFileName(options.epoch)), sealed.share, 0o600)
  return lower(sealed.identity.identity)
})

/** `directory` is made when it is not there. Answers the committee as it has to be registered on chain under `epoch`. */
export const dealFiles = Effect.fnUntraced(function* (options: DealOptions) {
  const { engine, directory } = options
  yield* Effect.tryPromise({ try: () => mkdir(directory, { recursive: true, mode: 0o700 }), catch: failed(directory) })
  yield* write(join(directory, "DEVELOPMENT-ONLY.txt"), WARNING, 0o644)
  const [decryption, attestation] = [dealKey(engine, options), dealKey(engine, options)]
  const nodes = yield* Effect.forEach(decryption.shares, ({ nodeId }) =>
    Effect.map(writeNode(options, nodeId, decryption, attestation), (identity) => ({
      id: nodeId,
      identity,
      endpoint: options.endpoint(nodeId),
      decryptionKey: toHex(decryption.verificationKeys[nodeId - 1]!),
      attestationKey: toHex(attestation.verificationKeys[nodeId - 1]!)
    }))
  )
  const committee: Committee = {
    epoch: options.epoch,
    suiteId: NATIVE_SUITE_ID,
    threshold: options.threshold,
    nodes,
    decryptionKey: toHex(decryption.publicKey),
    attestationKey: toHex(attestation.publicKey),
    scheme: options.scheme,
    isRetired: false
  }
  yield* writeJson(join(directory, COMMITTEE_FILE), { version: 1, origin: "development-dealer", committee }, 0o644)
  return committee
})
