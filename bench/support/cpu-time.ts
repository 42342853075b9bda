/**
 * CPU time by role of process: who does the work. On a machine that others use as well this says more than a rate, because it
 * does not grow while somebody else is served.
 */
import { readdirSync, readFileSync } from "node:fs"

export type CpuSeconds = Readonly<Record<string, number>>

const CLOCK_TICKS_PER_SECOND = 100

interface ProcessTimes {
  readonly pid: number
  readonly parent: number
  readonly seconds: number
  readonly command: string
}

const read = (pid: number): ProcessTimes | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
    // Children that have ended count for those that waited for them, or a server's time would shrink with every backend that goes;
    // but not for us, whose children are the servers.
    const ticks = (pid === process.pid ? [11, 12] : [11, 12, 13, 14]).reduce((sum, index) => sum + Number(fields[index]), 0)
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
    return { pid, parent: Number(fields[1]), seconds: ticks / CLOCK_TICKS_PER_SECOND, command }
  } catch {
    return undefined // it has just ended
  }
}

const ROLES: ReadonlyArray<readonly [role: string, pattern: RegExp]> = [
  ["kmsNodes", /portcullis\.js kms-node/],
  ["gateway", /portcullis\.js gateway|stub-node\.ts/],
  ["postgres", /postgres/],
  ["chain", /anvil/],
  ["nats", /nats-server/]
]

/** Of this process (`client`) and all that it started. Linux only: empty elsewhere. */
export const cpuSeconds = (): CpuSeconds => {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((name) => read(Number(name)))
  const known = new Map(all.flatMap((one) => (one === undefined ? [] : [[one.pid, one] as const])))
  const isOurs = (one: ProcessTimes | undefined): boolean =>
    one !== undefined && (one.pid === process.pid || isOurs(known.get(one.parent)))
  const totals: Record<string, number> = {}
  for (const one of known.values()) {
    if (!isOurs(one)) continue
    const role = one.pid === process.pid ? "client" : (ROLES.find(([, pattern]) => pattern.test(one.command))?.[0] ?? "others")
    totals[role] = (totals[role] ?? 0) + one.seconds
  }
  return totals
}

/** Milliseconds of CPU for each of `count` requests. */
export const cpuMsEach = (before: CpuSeconds, after: CpuSeconds, count: number): CpuSeconds =>
  Object.fromEntries(
    Object.entries(after).map(([role, seconds]) => [role, Math.round(((seconds - (before[role] ?? 0)) * 100_000) / count) / 100])
  )
