/** The parts of a bench, one after the other: they would measure each other. */
import { loadavg } from "node:os"
import type { Machine } from "./machine.ts"

export type LoadAverages = Readonly<Record<string, number>>

/** `part` answers null for what was not asked for; before each that was, the load average is noted. */
export const partsOf = <Part extends string>(wanted: ReadonlyArray<string>) => {
  const loadAverages: Record<string, number> = {}
  const part = async <A>(name: Part, measure: () => Promise<A>): Promise<A | null> => {
    if (!wanted.includes(name)) return null
    loadAverages[name] = Math.round((loadavg()[0] ?? 0) * 100) / 100
    process.stderr.write(`${new Date().toISOString()} ${name}, load average ${loadAverages[name]}\n`)
    const measured = await measure()
    // Said at once as well: what comes later may fail, and some of this took minutes.
    process.stderr.write(`${JSON.stringify(measured)}\n`)
    return measured
  }
  return { part, loadAverages }
}

export const machineLines = (machine: Machine & { readonly loadAverages: LoadAverages }): ReadonlyArray<string> => [
  `${machine.date}  ${machine.cores} cores, ${machine.cpu}, ${machine.memoryMiB} MiB; ${machine.os}`,
  `Node ${machine.node}, PostgreSQL ${machine.postgres}, nats-server ${machine.nats}`,
  `load average at start ${machine.loadAverageAtStart.join(" ")}; before each part ${JSON.stringify(machine.loadAverages)}`
]
