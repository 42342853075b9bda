/** This machine: the Node that runs us, and the files with secrets that settings name. Their content is never shown. */
import { X509Certificate } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { fileShareVaultLayer } from "../../src/adapters/kms-node/file-share-vault.layer.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { KeyEncryptionKey } from "../../src/keys/key-encryption-key.port.ts"
import { ShareVault } from "../../src/kms-node/share-vault.port.ts"
import type { Settings, SettingName } from "../settings.ts"
import { VERSION } from "../version.ts"
import { checked, fail, ok, warn, type Finding } from "./finding.ts"

const NODE_MAJOR_MIN = 24
const DAY_MS = 86_400_000
const RENEW_DAYS = 7

export const checkMachine = (): ReadonlyArray<Finding> => {
  const { node } = process.versions
  const detail = `Node ${node}, Portcullis ${VERSION}`
  return [Number(node.split(".")[0]) >= NODE_MAJOR_MIN ? ok("machine", detail) : fail("machine", detail, `Run it on Node ${NODE_MAJOR_MIN} or later.`)]
}

/** Files whose owner alone may read them. */
const SECRET_FILES: ReadonlyArray<SettingName> = [
  "PORTCULLIS_DATABASE_URL_FILE",
  "PORTCULLIS_NATS_CREDENTIALS_FILE",
  "PORTCULLIS_LANE_KEYS_FILE",
  "PORTCULLIS_ACCOUNT_KEY_FILE"
]

export const checkSecretFiles = (settings: Settings): ReadonlyArray<Finding> => {
  const named = SECRET_FILES.flatMap((name) => (settings[name] === undefined ? [] : [secretFile(name, String(settings[name]))]))
  const tls = settings.PORTCULLIS_KMS_TLS_DIR
  return [...named, ...(tls === undefined ? [] : tlsFiles(tls))]
}

const secretFile = (name: string, path: string): Finding => {
  try {
    const stat = statSync(path)
    if (!stat.isFile()) return fail("files", `${name} names no file`, "Name a file.")
    const mode = (stat.mode & 0o777).toString(8).padStart(4, "0")
    return (stat.mode & 0o077) === 0
      ? ok("files", `${name}, mode ${mode}`)
      : fail("files", `${name} can be read by others (mode ${mode})`, "chmod 600 it, and change what is in it if others may have read it.")
  } catch (error) {
    return fail("files", `${name} names a file that cannot be read (${codeOf(error)})`, "Correct the path, or let this user read the file.")
  }
}

const tlsFiles = (directory: string): ReadonlyArray<Finding> => {
  try {
    const certificate = new X509Certificate(readFileSync(join(directory, "cert.pem")))
    readFileSync(join(directory, "ca.pem"))
    const key = secretFile("PORTCULLIS_KMS_TLS_DIR/key.pem", join(directory, "key.pem"))
    const daysLeft = (Date.parse(certificate.validTo) - Date.now()) / DAY_MS
    const said = `PORTCULLIS_KMS_TLS_DIR/cert.pem is valid until ${new Date(certificate.validTo).toISOString()}`
    const renew = "Renew it; with development certificates: portcullis keys certificates."
    return [key, daysLeft <= 0 ? fail("files", said, renew) : daysLeft < RENEW_DAYS ? warn("files", said, renew) : ok("files", said)]
  } catch (error) {
    return [fail("files", `PORTCULLIS_KMS_TLS_DIR must hold ca.pem, cert.pem and key.pem (${codeOf(error)})`, "See portcullis keys certificates.")]
  }
}

/** The key-encryption key of a gateway opens what it is meant to open. */
export const checkGatewayKey = (settings: Settings) => {
  const path = settings.PORTCULLIS_KEY_ENCRYPTION_KEY_FILE
  if (path === undefined) return Effect.succeed([])
  return checked(
    "files",
    "It must be a file of exactly 32 bytes with mode 0600, the one this cluster was started with.",
    KeyEncryptionKey.use(({ keyId }) => Effect.succeed([ok("files", `PORTCULLIS_KEY_ENCRYPTION_KEY_FILE is the key ${keyId}`)])).pipe(
      Effect.provide(localKeyEncryptionKeyLayer({ path }))
    )
  )
}

/** On the machine of a KMS node: its sealed files open under its key. */
export const checkVault = (settings: Settings) => {
  const [directory, path] = [settings.PORTCULLIS_KMS_DIR, settings.PORTCULLIS_KMS_KEY_FILE]
  if (directory === undefined || path === undefined) return Effect.succeed([])
  const describe = ShareVault.use((vault) => {
    const said = `node ${vault.nodeId}, identity ${vault.identity}, epochs ${vault.epochs.join(", ") || "none"}`
    return Effect.succeed([
      vault.isForDevelopment && settings.PORTCULLIS_PRODUCTION === "yes"
        ? fail("vault", `${said}; dealt for development`, "A production node needs a share that nobody else has seen.")
        : ok("vault", said)
    ])
  })
  return checked(
    "vault",
    "PORTCULLIS_KMS_DIR and PORTCULLIS_KMS_KEY_FILE must be those of the same node.",
    describe.pipe(Effect.provide(fileShareVaultLayer({ directory })), Effect.provide(localKeyEncryptionKeyLayer({ path })))
  )
}

const codeOf = (error: unknown): string => String((error as { readonly code?: unknown }).code ?? "not PEM")
