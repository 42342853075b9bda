/** Every setting there is: one table, from which the reader, `.env.example` and docs/generated/settings.md are made. `bin/` reads the environment;
 * nothing else does. Secrets are settings that name files, so that no secret stands in an environment or an argument list. */
import { readFileSync } from "node:fs"
import { parseEnv } from "node:util"
import { Result, Schema } from "effect"
import { ALL_ROLES, ROLES, WORKER_STEPS } from "../src/domain/cluster.ts"
import { RPC_ENDPOINTS_MAX } from "../src/domain/limits.ts"
import { closestName } from "./closest-name.ts"

export const SETTING_GROUPS = ["Gateway", "Chain", "KMS nodes", "Storage", "Seeing it", "Asking"] as const
export type SettingGroup = (typeof SETTING_GROUPS)[number]

interface Setting<A> {
  readonly schema: Schema.Codec<A, string>
  /** As it would be written; missing when it must be given where it is needed. */
  readonly fallback?: string
  readonly help: string
  readonly group: SettingGroup
  /** What was probably meant, in words of ours: a value is never quoted. */
  readonly meant?: (text: string) => string | undefined
}

const Text = Schema.String.check(Schema.isMinLength(1))
const Whole = (least: number, most: number) =>
  Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: least, maximum: most }))
const Urls = (most: number, ...protocols: ReadonlyArray<string>) => {
  const isUrl = (text: string) => URL.canParse(text) && protocols.includes(new URL(text).protocol)
  return Schema.String.check(
    Schema.makeFilter((text: string) => {
      const urls = text.split(",").map((url) => url.trim())
      const isFine = urls.length <= most && new Set(urls).size === urls.length && urls.every(isUrl)
      return isFine ? undefined : `expected up to ${most} different URLs starting with ${protocols.join(" or ")}`
    })
  )
}
const rolesIn = (text: string): ReadonlyArray<string> => text.split(",").map((word) => word.trim())
const isRole = (word: string): boolean => (ALL_ROLES as ReadonlyArray<string>).includes(word)
const Roles = Schema.String.check(Schema.makeFilter((text: string) => (rolesIn(text).every(isRole) ? undefined : "expected roles, separated by commas")))

/** The step `submitted` is not a worker's, which nobody can guess. */
const rolesMeant = (text: string): string | undefined => {
  const wrong = rolesIn(text).filter((word) => !isRole(word))
  if (wrong.includes("worker:submitted")) return "the step submitted is done by the role sender"
  const meant = [...new Set(wrong.flatMap((word) => closestName(word, ALL_ROLES) ?? []))]
  return meant.length === 0 ? undefined : `did you mean ${meant.join(", ")}?`
}
const Finality = Schema.String.check(
  Schema.makeFilter((text: string) =>
    /^(?:latest|safe|finalized|confirmations:\d{1,4})$/.test(text) ? undefined : "expected latest, safe, finalized or confirmations:<blocks>"
  )
)
const Flag = Schema.Literals(["yes", "no"])

const setting = <A>(
  group: Setting<A>["group"],
  help: string,
  schema: Schema.Codec<A, string>,
  fallback?: string,
  meant?: Setting<A>["meant"]
): Setting<A> => ({ group, help, schema, ...(fallback === undefined ? {} : { fallback }), ...(meant === undefined ? {} : { meant }) })

export const SETTINGS = {
  PORTCULLIS_ROLES: setting(
    "Gateway",
    `What this node does: any of ${ROLES.join(", ")}, separated by commas. worker is every step of ${WORKER_STEPS.join(", ")}; worker:<step> is one of them.`,
    Roles,
    ROLES.join(","),
    rolesMeant
  ),
  PORTCULLIS_NODE_NAME: setting("Gateway", "Shown in logs, leases and the transition log; a boot nonce is added.", Text, "gateway"),
  PORTCULLIS_DATABASE_URL_FILE: setting("Gateway", "File with the PostgreSQL URL (postgres://user:password@host:port/name).", Text),
  PORTCULLIS_BUS: setting(
    "Gateway",
    "`embedded` for a single process, or NATS servers: nats://host:4222, several separated by commas.",
    Schema.String.check(
      Schema.makeFilter((text: string) =>
        text === "embedded" || text.split(",").every((url) => /^(?:nats|tls):\/\/[^\s,]+$/.test(url.trim()))
          ? undefined
          : "expected `embedded` or nats:// URLs"
      )
    ),
    "embedded"
  ),
  PORTCULLIS_NATS_CREDENTIALS_FILE: setting("Gateway", "A NATS .creds file (JWT and nkey seed).", Text),
  PORTCULLIS_NATS_REPLICAS: setting("Gateway", "Copies of each JetStream stream: 1, 3 or 5.", Schema.Literals(["1", "3", "5"]), "1"),
  PORTCULLIS_KEY_ENCRYPTION_KEY_FILE: setting("Gateway", "32-byte key, mode 0600, under which shares and results are sealed at rest.", Text),
  PORTCULLIS_WORK_CONCURRENCY: setting("Gateway", "Messages that one step works on at once.", Whole(1, 256), "8"),

  PORTCULLIS_RPC_URL: setting(
    "Chain",
    "JSON-RPC endpoints of the chain, the preferred one first, separated by commas; one with a key in its URL belongs in a settings file of mode 0600.",
    Urls(RPC_ENDPOINTS_MAX, "http:", "https:")
  ),
  PORTCULLIS_RPC_AGREEMENT: setting(
    "Chain",
    "How many endpoints must say the same of blocks, request logs, the access list and gas before it is believed: 1 or 2.",
    Schema.Literals(["1", "2"]),
    "1"
  ),
  PORTCULLIS_RPC_WS_URL: setting(
    "Chain",
    "WebSocket endpoint that announces new blocks. It only shortens the wait until the next look; nothing that it says is believed.",
    Urls(1, "ws:", "wss:")
  ),
  PORTCULLIS_RPC_LAG_BLOCKS: setting(
    "Chain",
    "An endpoint whose head is further behind the best one is asked last.",
    Whole(0, 10_000),
    "5"
  ),
  PORTCULLIS_DEPLOYMENT_FILE: setting("Chain", "JSON with chain id, contract addresses and start block, as `portcullis dev` writes it.", Text),
  PORTCULLIS_ACL_FINALITY: setting(
    "Chain",
    "When a request's block is final enough to act on: latest, safe, finalized or confirmations:<blocks>.",
    Finality,
    "finalized"
  ),
  PORTCULLIS_RESULT_FINALITY: setting("Chain", "When a result's block counts as final: as above.", Finality, "finalized"),
  PORTCULLIS_POLL_MS: setting("Chain", "How often the head of the chain is looked at, milliseconds.", Whole(10, 60_000), "500"),
  PORTCULLIS_RESCAN_BLOCKS: setting(
    "Chain",
    "How many of the newest final blocks the listener reads again in each pass, by another endpoint where there is one; 0 for none. Enough for the time between passes.",
    Whole(0, 100_000),
    "256"
  ),
  PORTCULLIS_RESCAN_SECONDS: setting("Chain", "Time between two such passes, seconds.", Whole(1, 86_400), "300"),
  PORTCULLIS_FEE_GWEI_MAX: setting(
    "Chain",
    "Most that a first attempt pays for a unit of gas, in gwei, whatever the endpoint says; replacements may go to three times that.",
    Whole(1, 1_000_000),
    "500"
  ),
  PORTCULLIS_SPEND_WINDOW_MINUTES: setting("Chain", "Sliding window of the two budgets below, minutes.", Whole(1, 10_080), "60"),
  PORTCULLIS_LANE_SPEND_GWEI_MAX: setting(
    "Chain",
    "Most that one lane's transactions may cost within the window, in gwei; above it the lane waits and others go on. Default: 2 ether.",
    Whole(1, 1_000_000_000_000),
    "2000000000"
  ),
  PORTCULLIS_REQUESTER_SPEND_GWEI_MAX: setting(
    "Chain",
    "Most that the results of one requester may cost within the window, in gwei; above it they wait. Default: half an ether.",
    Whole(1, 1_000_000_000_000),
    "500000000"
  ),
  PORTCULLIS_LANE_HISTORY_DAYS: setting(
    "Chain",
    "How long final transactions and what they cost are remembered, days; their signed bytes are forgotten after one.",
    Whole(1, 3_650),
    "30"
  ),
  PORTCULLIS_LANE_KEYS_FILE: setting("Chain", "Private keys of the sending accounts, one 0x-hex key in each line, mode 0600. One lane each.", Text),

  PORTCULLIS_KMS_TLS_DIR: setting("KMS nodes", "Directory with ca.pem, cert.pem and key.pem for mutual TLS with KMS nodes.", Text),
  PORTCULLIS_KMS_INSECURE: setting("KMS nodes", "`yes` talks plain text to KMS nodes. Only for a machine that nobody else can reach.", Flag, "no"),
  PORTCULLIS_KMS_DIR: setting("KMS nodes", "kms-node: directory with the node's sealed share and identity.", Text),
  PORTCULLIS_KMS_KEY_FILE: setting("KMS nodes", "kms-node: 32-byte key-encryption key, mode 0600, that opens them.", Text),
  PORTCULLIS_KMS_LISTEN: setting(
    "KMS nodes",
    "kms-node: host:port to serve on.",
    Schema.String.check(Schema.isPattern(/^[^\s]+:\d{1,5}$/)),
    "127.0.0.1:7443"
  ),
  PORTCULLIS_KMS_ANSWER_LOG: setting("KMS nodes", "kms-node: append-only file with every answer given.", Text),

  PORTCULLIS_STORES: setting(
    "Storage",
    "Object stores that ciphertexts are read from: name=/directory or name=https://base, separated by commas.",
    Schema.String.check(Schema.isPattern(/^[a-z0-9-]+=[^,]+(?:,[a-z0-9-]+=[^,]+)*$/))
  ),
  PORTCULLIS_CACHE_DIR: setting("Storage", "Where fetched ciphertexts are kept for a while.", Text),
  PORTCULLIS_CACHE_BYTES_MAX: setting("Storage", "Most bytes kept there.", Whole(1_048_576, 1_099_511_627_776), "1073741824"),

  PORTCULLIS_ENGINE: setting("Seeing it", "BLS12-381 engine: mcl (fast) or noble (audited reference).", Schema.Literals(["mcl", "noble"]), "mcl"),
  PORTCULLIS_ENGINE_WORKERS: setting("Seeing it", "Worker threads for curve work.", Whole(1, 64), "2"),
  PORTCULLIS_HTTP_LISTEN: setting(
    "Seeing it",
    "host:port for /metrics and /health, and with the role api for everything else.",
    Schema.String.check(Schema.isPattern(/^[^\s]+:\d{1,5}$/)),
    "127.0.0.1:9464"
  ),
  PORTCULLIS_LOG_LEVEL: setting("Seeing it", "info, warn, error or silent.", Schema.Literals(["info", "warn", "error", "silent"]), "info"),
  PORTCULLIS_PRODUCTION: setting("Seeing it", "`yes` refuses everything that is meant for development or chaos only.", Flag, "no"),

  PORTCULLIS_ACCOUNT_KEY_FILE: setting(
    "Asking",
    "Private key of the account that `portcullis encrypt` and `request` sign with, 0x-hex, mode 0600; `--key-file` wins.",
    Text
  )
} as const satisfies Record<string, Setting<never> | Setting<string> | Setting<number>>

export type SettingName = keyof typeof SETTINGS
export type Settings = { readonly [K in SettingName]: (typeof SETTINGS)[K]["schema"]["Type"] | undefined }

/** Everything that is wrong, one sentence each. Values are never quoted. */
export interface SettingsRejected {
  readonly _tag: "SettingsRejected"
  readonly problems: ReadonlyArray<string>
}

export const isRejected = (settings: Settings | SettingsRejected): settings is SettingsRejected => "_tag" in settings

/** The environment wins over the file; `needed` names settings without a fallback that this command cannot do without. */
export const readSettings = (
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
  needed: ReadonlyArray<SettingName>
): Settings | SettingsRejected => {
  const problems: Array<string> = []
  const given = { ...(file === undefined ? {} : readFile(file, problems)), ...definedOf(environment) }
  for (const name of Object.keys(given)) {
    if (name.startsWith("PORTCULLIS_") && !Object.hasOwn(SETTINGS, name)) problems.push(`${name} is not a setting; ${advice(name)}`)
  }
  const read = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, { schema, ...rest }]) => {
      const text = given[name] ?? ("fallback" in rest ? rest.fallback : undefined)
      if (text === undefined || text === "") {
        if (needed.includes(name as SettingName)) problems.push(`${name} is missing: ${rest.help}`)
        return [name, undefined]
      }
      const value = Schema.decodeResult(schema as Schema.Codec<unknown, string>)(text)
      if (Result.isFailure(value)) problems.push([`${name} is not usable: ${rest.help}`, hintOf(rest, text)].filter(Boolean).join(" "))
      return [name, Result.isSuccess(value) ? value.success : undefined]
    })
  ) as unknown as Settings
  return problems.length > 0 ? { _tag: "SettingsRejected", problems } : read
}

const hintOf = (rest: object, text: string): string | undefined => ("meant" in rest ? (rest.meant as typeof rolesMeant)(text) : undefined)

const advice = (name: string): string => {
  const meant = closestName(name, Object.keys(SETTINGS))
  return meant === undefined ? "see docs/generated/settings.md" : `did you mean ${meant}?`
}

const readFile = (file: string, problems: Array<string>): Record<string, string | undefined> => {
  try {
    return parseEnv(readFileSync(file, "utf8"))
  } catch {
    problems.push(`the settings file ${file} cannot be read`)
    return {}
  }
}

const definedOf = (environment: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined))

