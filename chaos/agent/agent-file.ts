/** The file that `npm run chaos -- --agent FILE` reads: what the agent may hurt, and nothing else. */
import { readFileSync } from "node:fs"

export interface AgentLink {
  readonly name: string
  /** On 127.0.0.1: nodes are told this port instead of the real one. */
  readonly listenPort: number
  readonly to: { readonly host: string; readonly port: number }
}

export interface AgentProcess {
  readonly name: string
  readonly pidFile: string
}

export interface AgentOptions {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly links: ReadonlyArray<AgentLink>
  readonly processes: ReadonlyArray<AgentProcess>
}

const NAME = /^[a-z0-9-]{1,32}$/
const ADDRESS = /^(?<host>[^\s:]+):(?<port>\d{1,5})$/
/** Shorter ones are guessed. */
const TOKEN_CHARACTERS_MIN = 16

/** A sentence instead of options when it may not start. */
export const readAgentFile = (file: string, environment: Readonly<Record<string, string | undefined>>): AgentOptions | string => {
  const production = environment["PORTCULLIS_PRODUCTION"]
  if (production !== undefined && production !== "no") return "PORTCULLIS_PRODUCTION is set here: faults are for staging, and this does not start"
  let given: Readonly<Record<string, unknown>>
  try {
    given = JSON.parse(readFileSync(file, "utf8")) as typeof given
  } catch {
    return `${file} cannot be read as JSON`
  }
  const listen = addressOf(given["listen"] ?? "127.0.0.1:7600")
  if (listen === undefined) return `"listen" is host:port, not ${JSON.stringify(given["listen"])}`
  const token = tokenIn(given["tokenFile"])
  if (token === undefined) return `"tokenFile" names a file with a secret of at least ${TOKEN_CHARACTERS_MIN} characters`
  const [links, processes] = [listOf(given["links"]), listOf(given["processes"])]
  const wrongLink = links.find(({ name, listenPort, to }) => !isName(name) || !Number.isInteger(listenPort) || addressOf(to) === undefined)
  if (wrongLink !== undefined) return `a link is {"name", "listenPort", "to": "host:port"}, not ${JSON.stringify(wrongLink)}`
  const wrongProcess = processes.find(({ name, pidFile }) => !isName(name) || typeof pidFile !== "string")
  if (wrongProcess !== undefined) return `a process is {"name", "pidFile"}, not ${JSON.stringify(wrongProcess)}`
  const names = [...links, ...processes].map(({ name }) => name)
  if (names.length === 0) return "there is neither a link nor a process to hurt"
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return `two things are called ${String(twice)}`
  return {
    ...listen,
    token,
    links: links.map(({ name, listenPort, to }) => ({ name: String(name), listenPort: Number(listenPort), to: addressOf(to)! })),
    processes: processes.map(({ name, pidFile }) => ({ name: String(name), pidFile: String(pidFile) }))
  }
}

const isName = (name: unknown): boolean => typeof name === "string" && NAME.test(name)

const listOf = (given: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> => (Array.isArray(given) ? given : [])

const addressOf = (text: unknown): { readonly host: string; readonly port: number } | undefined => {
  const found = ADDRESS.exec(String(text))?.groups
  return found === undefined || Number(found["port"]) > 65_535 ? undefined : { host: found["host"]!, port: Number(found["port"]) }
}

const tokenIn = (file: unknown): string | undefined => {
  try {
    const token = readFileSync(String(file), "utf8").trim()
    return token.length >= TOKEN_CHARACTERS_MIN ? token : undefined
  } catch {
    return undefined
  }
}
