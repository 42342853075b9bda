/** `portcullis encrypt`: a value from stdin or a file becomes a ciphertext in a store and a handle, and if asked to, a registration. */
import { Effect } from "effect"
import { VALUE_BYTES_MAX } from "../../src/client/portcullis-client.ts"
import { parseHex } from "../../src/domain/hex.ts"
import { LOCATIONS_PER_CIPHERTEXT_MAX, PUBLIC_PLAINTEXT_BYTES_MAX } from "../../src/domain/limits.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { openClient, storeLayerOf, storesFrom, withWallet, type SigningFlags } from "../client-access.ts"
import { readInput } from "../key-file.ts"
import { attempt, runCommand, usage, type Answer } from "../run-command.ts"

export interface EncryptFlags extends SigningFlags {
  readonly store?: ReadonlyArray<string>
  readonly valueFile?: string
  readonly owner?: string
  readonly register?: true
  readonly allowPublic?: true
  readonly allow?: ReadonlyArray<string>
}

export const encrypt = (flags: EncryptFlags): Promise<void> => runCommand(flags, encryptAnswer(flags))

const encryptAnswer = Effect.fnUntraced(function* (flags: EncryptFlags) {
  const problems = problemsOf(flags)
  if (problems.length > 0) return yield* usage(...problems)
  const access = yield* openClient(flags)
  const stores = yield* storesFrom(flags.store, access.settings)
  if (stores.length > LOCATIONS_PER_CIPHERTEXT_MAX) return yield* usage(`a ciphertext is kept in at most ${LOCATIONS_PER_CIPHERTEXT_MAX} stores`)
  const owner = flags.owner ?? (yield* ownerOf(access.wallet?.address))
  if (flags.register === true && owner.toLowerCase() !== (yield* withWallet(access)).address.toLowerCase()) {
    return yield* usage("--register is done by the owner: give its --key-file, or leave --owner out")
  }
  const value = yield* attempt(() => readValue(flags.valueFile))
  if (flags.allowPublic === true && value.length > PUBLIC_PLAINTEXT_BYTES_MAX) {
    return yield* usage(`a value that is to be made public has at most ${PUBLIC_PLAINTEXT_BYTES_MAX} bytes, this has ${value.length}`)
  }
  const { client } = access
  const encrypted = yield* attempt(() => client.encrypt(value, { owner }))
  value.fill(0)
  const { handle, digest, salt, epoch, ciphertext } = encrypted
  const locations = yield* Effect.forEach(stores, ({ name }) => CiphertextStore.use((store) => store.write(name, digest, ciphertext))).pipe(
    Effect.provide(storeLayerOf(stores))
  )
  if (flags.register === true) {
    yield* attempt(() => client.register(encrypted, locations))
    if (flags.allowPublic === true) yield* attempt(() => client.allowForDecryption(handle))
    for (const account of flags.allow ?? []) yield* attempt(() => client.allow(handle, account))
  }
  const next = nextStep(flags, handle)
  const sizeBytes = ciphertext.length
  return {
    json: {
      ...{ handle, digest, salt, owner: encrypted.owner, epoch, sizeBytes, locations, next },
      ...{ registered: flags.register === true, allowedPublic: flags.allowPublic === true, allowed: flags.allow ?? [] }
    },
    lines: [
      `handle     ${handle}`,
      `digest     ${digest}  (${sizeBytes} bytes, epoch ${epoch})`,
      `salt       ${salt}`,
      `owner      ${encrypted.owner}`,
      ...locations.map((location) => `location   ${location}`),
      `on chain   ${flags.register === true ? ["registered", ...permits(flags)].join(", ") : "nothing yet"}`,
      `next       ${next}`
    ]
  } satisfies Answer
})

const problemsOf = (flags: EncryptFlags): ReadonlyArray<string> => [
  ...(flags.register === undefined && (flags.allowPublic === true || flags.allow !== undefined)
    ? ["--allow and --allow-public are said of a registered handle: add --register"]
    : []),
  ...(flags.owner !== undefined && parseHex(flags.owner, 20) === undefined ? ["--owner must be an address: 0x and 40 hex digits"] : []),
  ...(flags.allow ?? []).flatMap((account) => (parseHex(account, 20) === undefined ? ["--allow must be an address: 0x and 40 hex digits"] : []))
]

const ownerOf = (address: string | undefined) =>
  address === undefined
    ? Effect.fail(usage("whose will the handle be? give --key-file (or PORTCULLIS_ACCOUNT_KEY_FILE), or --owner <address>"))
    : Effect.succeed(address)

/** The value is never an argument: arguments stand in the list of processes and in the shell's history. */
const readValue = async (file: string | undefined): Promise<Uint8Array> => {
  if (file !== undefined) return readInput("--value-file", file, VALUE_BYTES_MAX)
  if (process.stdin.isTTY) throw usage("the value comes from --value-file or from stdin, and stdin is this terminal")
  const chunks: Array<Uint8Array> = []
  let sizeBytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length
    if (sizeBytes > VALUE_BYTES_MAX) throw usage(`the value has more than ${VALUE_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const permits = (flags: EncryptFlags): ReadonlyArray<string> => [
  ...(flags.allowPublic === true ? ["may be made public"] : []),
  ...(flags.allow ?? []).map((account) => `allowed for ${account.toLowerCase()}`)
]

const nextStep = (flags: EncryptFlags, handle: string): string => {
  if (flags.register === undefined) return "register the handle with this digest, salt and location (client.register), from the owner's account"
  return flags.allowPublic === true
    ? `portcullis request public ${handle} --wait`
    : `portcullis request user ${handle} --transport-file <new file> --wait`
}
