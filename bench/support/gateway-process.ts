/** `portcullis gateway` in a process of its own, as an operator runs it, with a look at its memory. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { World } from "../../bin/dev-world.ts"
import { Child } from "../../chaos/process/child.ts"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))
const KIB_PER_MIB = 1024

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
  /** SIGKILL: nothing is given back. */
  readonly kill: () => Promise<void>
}

/** BENCH_PROFILE_DIR: a CPU profile of every thread is written there when it ends. */
export const startGatewayProcess = async (
  world: World,
  settings: Readonly<Record<string, string>> = {},
  onUnexpectedEnd: (how: string) => void = () => {}
): Promise<GatewayProcess> => {
  const profiles = process.env["BENCH_PROFILE_DIR"]
  const environment = {
    ...(process.env as Readonly<Record<string, string>>),
    ...(profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` }),
    ...world.environment,
    PORTCULLIS_ACL_FINALITY: "latest",
    PORTCULLIS_RESULT_FINALITY: "confirmations:1",
    PORTCULLIS_POLL_MS: "50",
    PORTCULLIS_HTTP_LISTEN: "127.0.0.1:0",
    ...settings
  }
  const child = new Child({
    name: settings["PORTCULLIS_NODE_NAME"] ?? "the gateway",
    command: () => [process.execPath, CLI, "gateway"],
    environment: () => environment,
    isReady: ({ msg }) => msg === "serving",
    onLine: () => {},
    onUnexpectedEnd
  })
  await child.start()
  const status = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))
    return Math.round((10 * Number(found?.[1] ?? 0)) / KIB_PER_MIB) / 10
  }
  return {
    memory: () => ({ rss: status("VmRSS"), peak: status("VmHWM"), anonymous: status("RssAnon") }),
    stop: async () => void (await child.drain()),
    kill: () => child.kill()
  }
}
