/** `portcullis keys deal`: the development dealer. One process makes and sees the whole key, so what it deals must never guard anything of
 * value; it says so in every file, and refuses to run where PORTCULLIS_PRODUCTION is `yes`. */
import { mkdir, readdir } from "node:fs/promises"
import { join } from "node:path"
import { Effect } from "effect"
import { COMMITTEE_FILE, dealFiles, KEY_FILE, nodeDirectory } from "../../src/adapters/kms-node/deal-files.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import type { AttestationScheme } from "../../src/domain/committee.ts"
import { settingsOf } from "../client-access.ts"
import { attempt, failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface DealFlags extends CommandFlags {
  readonly directory: string
  readonly nodes: number
  readonly threshold: number
  readonly endpoints: ReadonlyArray<string>
  readonly scheme: AttestationScheme
  readonly epoch: number
}

export const keysDeal = (flags: DealFlags): Promise<void> => runCommand(flags, dealAnswer(flags))

const dealAnswer = Effect.fnUntraced(function* (flags: DealFlags) {
  const settings = yield* settingsOf(flags)
  if (settings.PORTCULLIS_PRODUCTION === "yes") {
    return yield* failed("the development dealer does not run in production: it sees the whole key", "Have the committee's operators generate their shares.")
  }
  const { directory, nodes, threshold, endpoints, epoch, scheme } = flags
  const problems = [
    ...(threshold > nodes ? ["--threshold cannot be larger than --nodes"] : []),
    ...(endpoints.length === nodes ? [] : [`--endpoints must name one host:port for each of the ${nodes} nodes, and names ${endpoints.length}`]),
    ...(new Set(endpoints).size === endpoints.length ? [] : ["--endpoints names one endpoint twice"])
  ]
  if (problems.length > 0) return yield* usage(...problems)
  yield* attempt(() => emptyDirectory(directory))
  const engine = yield* Effect.promise(() => startEngine(settings.PORTCULLIS_ENGINE ?? "mcl"))
  const committee = yield* dealFiles({
    ...{ engine, directory, epoch, threshold, nodes, scheme },
    endpoint: (id) => endpoints[id - 1] ?? "",
    keyLayer: (path) => localKeyEncryptionKeyLayer({ path })
  })
  const files = committee.nodes.map(({ id }) => ({
    ...{ node: id, directory: nodeDirectory(directory, id), keyFile: join(nodeDirectory(directory, id), KEY_FILE) }
  }))
  return {
    json: { origin: "development-dealer", committeeFile: join(directory, COMMITTEE_FILE), committee, nodes: files },
    lines: [
      "FOR DEVELOPMENT ONLY: this process has seen the whole key, and so may have whoever else can read its memory or this disk.",
      `committee  ${join(directory, COMMITTEE_FILE)}: ${threshold} of ${nodes}, epoch ${epoch}, ${scheme}`,
      ...committee.nodes.map(({ id, identity, endpoint }) => `node ${String(id).padEnd(5)} ${nodeDirectory(directory, id)}  ${identity}  ${endpoint}`),
      `next       portcullis keys certificates --directory ${directory}`
    ]
  } satisfies Answer
})

/** Made when it is missing; anything in it, and nothing is dealt. */
const emptyDirectory = async (directory: string): Promise<void> => {
  const cannot = (error: unknown) => usage(`--directory cannot be used (${String((error as { readonly code?: unknown }).code)})`)
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => Promise.reject(cannot(error)))
  const entries = await readdir(directory).catch((error: unknown) => Promise.reject(cannot(error)))
  if (entries.length > 0) throw usage("--directory must be empty or new: keys are never dealt over others")
}
