/** Other builds of the program: a checkout of an older commit, from which processes of a run start first. A build is known by its files alone, so
 * that nothing of it is loaded into this process. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { AuditedRequest } from "../src/ledger/audit-ledger.port.ts"

export interface Build {
  /** Version and commit, for the report. */
  readonly name: string
  /** What its `portcullis` runs. */
  readonly cli: string
  /** It refuses every other name that begins with PORTCULLIS_, as one that somebody mistyped. */
  readonly settings: ReadonlySet<string>
}

/** What an upgrade begins with. */
export interface UpgradeFrom {
  readonly build: Build
  /** The name of this build. */
  readonly to: string
  /** So many gateways, the last ones, are started from there again and again: the cluster stays mixed. */
  readonly kept: number
}

const HERE = fileURLToPath(new URL("..", import.meta.url))
const CLI_FILE = "bin/portcullis.js"
/** Generated from the table of settings, one for each line. */
const SETTINGS_FILE = ".env.example"

/** A sentence when no process can be started from this folder. */
export const readBuild = (folder: string): Build | string => {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return `--from-build ${folder}: it is not a directory`
  const missing = ["package.json", CLI_FILE, SETTINGS_FILE].find((file) => !existsSync(join(folder, file)))
  if (missing !== undefined) return `--from-build ${folder} has no ${missing}: name a checkout of Portcullis`
  if (!existsSync(join(folder, "node_modules"))) return `--from-build ${folder} has no node_modules: run npm ci there first`
  if (realpathSync(folder) === realpathSync(HERE)) return `--from-build ${folder} is this very checkout: name one of another commit`
  const settings = readFileSync(join(folder, SETTINGS_FILE), "utf8").match(/\bPORTCULLIS_[A-Z_]+/g) ?? []
  return { name: nameOf(folder), cli: join(folder, CLI_FILE), settings: new Set(settings) }
}

/** Without what it would refuse to start with: an operator gives new settings with the new build. */
export const environmentFor = (build: Build | undefined, environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const unknown = new Set(build === undefined ? [] : unknownIn(build, environment))
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !unknown.has(name)))
}

export const unknownIn = ({ settings }: Build, environment: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.keys(environment).filter((name) => name.startsWith("PORTCULLIS_") && !settings.has(name))

/** Asked when a run needs it: git takes a moment. */
export const thisBuildName = (): string => nameOf(HERE)

/** `0.1.0 (cbb5f9d)`, with a + where files differ from that commit; a folder without its own commit has its version alone. */
const nameOf = (folder: string): string => {
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version?: string }
  const commit = existsSync(join(folder, ".git")) ? commitOf(folder) : undefined
  return commit === undefined ? `${version}` : `${version} (${commit})`
}

/** For the report: who runs what. `gateways` are their names, the last of which may stay behind. */
export const upgradeLines = ({ build, to, kept }: UpgradeFrom, gateways: ReadonlyArray<string>, left: ReadonlyArray<string>): ReadonlyArray<string> => {
  const moving = gateways.slice(0, gateways.length - kept)
  const staying = gateways.slice(gateways.length - kept)
  return [
    `${moving.join(", ")}: first from ${build.name}, and from ${to} whenever they are started again`,
    ...(staying.length === 0 ? [] : [`${staying.join(", ")}: always from ${build.name}`]),
    `the KMS nodes: always from ${build.name}; they belong to others, who upgrade when they like`,
    ...(left.length === 0 ? [] : [`${left.join(", ")}: not given to ${build.name}, which does not know it`])
  ]
}

/** Requests that one build has begun and another has gone on with. */
export const carriedOver = (requests: ReadonlyArray<Pick<AuditedRequest, "history">>, buildOfLife: ReadonlyMap<string, string>): number =>
  requests.filter(({ history }) => new Set(history.flatMap(({ worker }) => buildOfLife.get(worker) ?? [])).size > 1).length

const commitOf = (folder: string): string | undefined => {
  try {
    return execFileSync("git", ["-C", folder, "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return undefined
  }
}
