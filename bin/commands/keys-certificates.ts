/** `portcullis keys certificates`: development certificates for a dealt committee, so that gateways and nodes speak mutual TLS on the first day.
 * The authority lives only while this runs: to renew one certificate, renew all. */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { devAuthority, type Certificate } from "../../src/adapters/dev-certificates/dev-certificates.ts"
import { COMMITTEE_FILE, nodeDirectory } from "../../src/adapters/kms-node/deal-files.ts"
import { settingsOf } from "../client-access.ts"
import { hostAndPort } from "../gateway-from-settings.ts"
import { readJson } from "../key-file.ts"
import { attempt, failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface CertificateFlags extends CommandFlags {
  readonly directory: string
}

const CommitteeRecord = Schema.Struct({
  committee: Schema.Struct({ nodes: Schema.NonEmptyArray(Schema.Struct({ id: Schema.Int, endpoint: Schema.String })) })
})

export const keysCertificates = (flags: CertificateFlags): Promise<void> => runCommand(flags, certificatesAnswer(flags))

const certificatesAnswer = Effect.fnUntraced(function* (flags: CertificateFlags) {
  const settings = yield* settingsOf(flags)
  if (settings.PORTCULLIS_PRODUCTION === "yes") {
    return yield* failed("development certificates are not made in production", "Bring certificates of your own authority.")
  }
  const { directory } = flags
  const file = join(directory, COMMITTEE_FILE)
  const record = Schema.decodeUnknownResult(CommitteeRecord)(yield* attempt(() => readJson("--directory", file)))
  if (record._tag === "Failure") return yield* usage(`--directory must hold a ${COMMITTEE_FILE} as \`portcullis keys deal\` writes it`)
  const authority = devAuthority(Date.now())
  const gateway = join(directory, "gateway-tls")
  const written = [{ for: "gateway", directory: gateway }]
  yield* attempt(() => writeTls(gateway, authority.authority, authority.client("gateway")))
  for (const { id, endpoint } of record.success.committee.nodes) {
    const [host] = hostAndPort(endpoint)
    const tls = join(nodeDirectory(directory, id), "tls")
    yield* attempt(() => writeTls(tls, authority.authority, authority.server([host])))
    written.push({ for: `node ${id}`, directory: tls })
  }
  return {
    json: { origin: "development-authority", written },
    lines: [
      "FOR DEVELOPMENT ONLY: valid for 30 days; the authority's key is gone, so run this again to renew them all.",
      ...written.map(({ for: whom, directory: where }) => `${whom.padEnd(10)} PORTCULLIS_KMS_TLS_DIR=${where}`)
    ]
  } satisfies Answer
})

const writeTls = async (directory: string, authority: string, own: Certificate): Promise<void> => {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFile(join(directory, "ca.pem"), authority)
    await writeFile(join(directory, "cert.pem"), own.certificate)
    await writeFile(join(directory, "key.pem"), own.privateKey, { mode: 0o600 })
  } catch (error) {
    throw failed(`${directory} cannot be written (${String((error as { readonly code?: unknown }).code)})`)
  }
}
