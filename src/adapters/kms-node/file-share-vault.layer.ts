/**
 * A node's secrets in a directory of its own: `identity.json` and one `share-epoch-<n>.json` for each epoch, all sealed. The
 * identity is opened at start; a share when its epoch is first used. What was opened is overwritten when the layer closes.
 */
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Layer, Schema, Semaphore } from "effect"
import { lower } from "../../domain/hex.ts"
import { type KeyEncryptionKey, KeyProviderUnavailable } from "../../keys/key-encryption-key.port.ts"
import { signDigest } from "../../kms-node/identity-signature.ts"
import { IdentityFile, openIdentity, openShare, ShareFile } from "../../kms-node/sealed-files.ts"
import { type EpochSecrets, ShareVault, VaultRejected } from "../../kms-node/share-vault.port.ts"

export const IDENTITY_FILE = "identity.json"
export const shareFileName = (epoch: number): string => `share-epoch-${epoch}.json`
const SHARE_FILE = /^share-epoch-([1-9]\d{0,9})\.json$/
const FILE_BYTES_MAX = 16_384

const rejected = (file: string, reason: string) => new VaultRejected({ file, reason })

const readJson = <S extends Schema.Top>(schema: S, file: string) =>
  Effect.tryPromise({
    try: async (): Promise<unknown> => {
      if ((await stat(file)).size > FILE_BYTES_MAX) throw new RangeError()
      return JSON.parse(await readFile(file, "utf8"))
    },
    catch: () => rejected(file, "it cannot be read as JSON")
  }).pipe(
    Effect.flatMap((json) => Schema.decodeUnknownEffect(schema)(json)),
    Effect.catchTag("SchemaError", () => Effect.fail(rejected(file, "it is not a sealed file of this version")))
  )

/** The provider of the key is not the vault's business: whoever asked may try again. */
const providerDown = (file: string) => (error: VaultRejected | KeyProviderUnavailable) =>
  error instanceof KeyProviderUnavailable ? rejected(file, `the key ${error.keyId} cannot be reached`) : error

const epochsIn = (directory: string) =>
  Effect.tryPromise({
    try: () => readdir(directory),
    catch: () => rejected(directory, "it cannot be listed")
  }).pipe(
    Effect.map((names) =>
      names
        .flatMap((name) => SHARE_FILE.exec(name)?.[1] ?? [])
        .map(Number)
        .toSorted((left, right) => left - right)
    )
  )

export const fileShareVaultLayer = (options: {
  readonly directory: string
}): Layer.Layer<ShareVault, VaultRejected, KeyEncryptionKey> =>
  Layer.effect(
    ShareVault,
    Effect.gen(function* () {
      const identityPath = join(options.directory, IDENTITY_FILE)
      const identityFile = yield* readJson(IdentityFile, identityPath)
      const epochs = yield* epochsIn(options.directory)
      const secret = yield* Effect.acquireRelease(
        openIdentity(identityPath, identityFile).pipe(Effect.mapError(providerDown(identityPath))),
        (key) => Effect.sync(() => key.fill(0))
      )
      const opened = new Map<number, EpochSecrets>()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const { decryption, attestation } of opened.values()) [decryption, attestation].forEach((scalar) => scalar.fill(0))
        })
      )
      const context = yield* Effect.context<KeyEncryptionKey>()

      const openEpoch = Effect.fnUntraced(function* (epoch: number) {
        const path = join(options.directory, shareFileName(epoch))
        const file = yield* readJson(ShareFile, path)
        if (file.epoch !== epoch || file.nodeId !== identityFile.nodeId)
          return yield* rejected(path, "it is of another node or epoch")
        const secrets = yield* openShare(path, file).pipe(Effect.mapError(providerDown(path)))
        opened.set(epoch, secrets)
        return secrets
      }, Effect.provide(context))
      // Two calls that meet an unopened epoch wait for one opening, so that no copy of a secret is left behind.
      const gate = yield* Semaphore.make(1)

      return {
        nodeId: identityFile.nodeId,
        identity: lower(identityFile.identity),
        isForDevelopment: identityFile.origin === "development-dealer",
        epochs,
        signDigest: (digest) => signDigest(secret, digest),
        secrets: (epoch) =>
          gate.withPermits(1)(
            Effect.suspend(() => {
              const known = opened.get(epoch)
              if (known !== undefined || !epochs.includes(epoch)) return Effect.succeed(known)
              return openEpoch(epoch)
            })
          )
      }
    })
  )
