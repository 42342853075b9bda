/** Finds the programs of servers that tests start; installs nats-server where that is ours to do. Never uses a running server. */
import { accessSync, constants, existsSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"
import { spawnSync } from "node:child_process"

/** Debian puts servers where a plain user's PATH does not look. */
const SERVER_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/sbin"]

/** Where util-linux is: before a command, so that it is killed with the process that started it, even when that one is killed. */
export const DIES_WITH_US: ReadonlyArray<string> = existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] : []

type Environment = Readonly<Record<string, string | undefined>>

/** An absolute path, or undefined where there is none. A `NATS_SERVER_BIN` that is not a program counts as none. */
export const findNatsServer = (environment: Environment): string | undefined => {
  const given = environment["NATS_SERVER_BIN"]
  if (given !== undefined && given !== "") return isProgram(given) ? given : undefined
  const folders = [...(environment["PATH"] ?? "").split(delimiter).filter(isAbsolute), ...SERVER_FOLDERS]
  return folders.map((folder) => join(folder, "nats-server")).find(isProgram)
}

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** How to say it when there is none and we may not install it. */
export const NATS_SERVER_MISSING =
  "nats-server is missing: install it (Debian and Ubuntu: `apt-get install nats-server`; others: https://nats.io/download) " +
  "or name the program in NATS_SERVER_BIN."

export const mayInstall = (environment: Environment): boolean =>
  process.getuid?.() === 0 && existsSync("/etc/debian_version") && (environment["NATS_SERVER_BIN"] ?? "") === ""

/** Runs apt-get; answers with what it said when it failed, or undefined when all went well. */
export const installNatsServer = (): string | undefined => {
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  for (const words of [["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "nats-server"]]) {
    const { status, stdout, stderr, error } = spawnSync("apt-get", words, { env: environment, encoding: "utf8" })
    const lastWords = `${stdout}${stderr}`.trim().split("\n").slice(-5).join("\n")
    if (status !== 0) return `apt-get ${words[0]}: ${error?.message ?? lastWords}`
  }
  return undefined
}
