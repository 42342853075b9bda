/** On what the figures were measured. Without this they mean nothing. */
import { execFileSync } from "node:child_process"
import { cpus, freemem, loadavg, release, totalmem } from "node:os"
import { readFileSync } from "node:fs"
import { Effect, Option } from "effect"
import { findBinaries } from "../../src/adapters/embedded/postgres-binaries.ts"
import { findNatsServer } from "../../tools/server-programs.ts"

export interface Machine {
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryMiB: number
  readonly memoryFreeMiB: number
  readonly node: string
  readonly os: string
  readonly postgres: string
  readonly nats: string
  /** One, five and fifteen minutes, before anything was measured. Above the number of cores somebody else was at work. */
  readonly loadAverageAtStart: ReadonlyArray<number>
}

const MIB = 1024 * 1024

const said = (program: string | undefined, ...args: ReadonlyArray<string>): string => {
  if (program === undefined) return "none"
  try {
    return execFileSync(program, args, { encoding: "utf8" }).trim()
  } catch {
    return "unknown"
  }
}

const systemName = (): string => {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? process.platform
  } catch {
    return process.platform
  }
}

const postgresVersion = async (): Promise<string> => {
  const binaries = await Effect.runPromise(Effect.option(findBinaries(process.env["PG_BIN"])))
  return Option.match(binaries, {
    onNone: () => "none",
    onSome: (folder) => /[\d.]+/.exec(said(`${folder}/postgres`, "--version"))?.[0] ?? "unknown"
  })
}

export const describeMachine = async (): Promise<Machine> => ({
  date: new Date().toISOString(),
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memoryMiB: Math.round(totalmem() / MIB),
  memoryFreeMiB: Math.round(freemem() / MIB),
  node: process.versions.node,
  os: `${systemName()}, kernel ${release()}`,
  postgres: await postgresVersion(),
  nats: /[\d.]+/.exec(said(findNatsServer(process.env), "-v"))?.[0] ?? "none",
  loadAverageAtStart: loadavg().map((load) => Math.round(load * 100) / 100)
})
