/** `portcullis gateway` in a process of its own, as an operator runs it, with a look at its memory. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { World } from "../../bin/dev-world.ts"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))
const KIB_PER_MIB = 1024
/** What has not drained by now is ended: it was measured already. */
const DRAIN_MS_MAX = 20_000

export interface MemoryMiB {
  /** Resident, as the kernel counts it: all threads, code and shared libraries included. */
  readonly rss: number
  /** The highest it ever was. */
  readonly peak: number
  /** The private part: what is neither code nor files. */
  readonly anonymous: number
}

export interface GatewayProcess {
  readonly memory: () => MemoryMiB
  readonly stop: () => Promise<void>
}

/** BENCH_PROFILE_DIR: a CPU profile of every thread is written there when it ends. */
export const startGatewayProcess = async (
  world: World,
  settings: Readonly<Record<string, string>> = {}
): Promise<GatewayProcess> => {
  const profiles = process.env["BENCH_PROFILE_DIR"]
  const child = spawn(process.execPath, [CLI, "gateway"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      ...(profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` }),
      ...world.environment,
      PORTCULLIS_ACL_FINALITY: "latest",
      PORTCULLIS_RESULT_FINALITY: "confirmations:1",
      PORTCULLIS_POLL_MS: "50",
      PORTCULLIS_HTTP_LISTEN: "127.0.0.1:0",
      ...settings
    }
  })
  let errors = ""
  child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_096)))
  await new Promise<void>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    child.once("exit", (code) => reject(new TypeError(`the gateway ended (${code}): ${errors}`)))
    lines.on("line", (line) => {
      if (!line.includes('"serving"')) return
      lines.close()
      child.stdout.resume()
      resolve()
    })
  })
  const status = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))
    return Math.round(Number(found?.[1] ?? 0) / KIB_PER_MIB)
  }
  return {
    memory: () => ({ rss: status("VmRSS"), peak: status("VmHWM"), anonymous: status("RssAnon") }),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const impatient = setTimeout(() => child.kill("SIGKILL"), DRAIN_MS_MAX)
      if (child.kill("SIGTERM")) await once(child, "exit")
      clearTimeout(impatient)
    }
  }
}
