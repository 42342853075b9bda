/** All figures of a run, and the same as tables for people, each beside its aim. */
import type { Milliseconds } from "../crypto.ts"
import type { EngineReport } from "../engine.ts"
import type { FullPathReport } from "../full-path.ts"
import { gasTable, type GasReport } from "../gas.ts"
import type { IdleReport } from "../idle.ts"
import type { MemoryReport } from "../memory.ts"
import type { Machine } from "./machine.ts"
import { machineLines } from "./parts.ts"
import type { Quantiles } from "./statistics.ts"

/** The names are an interface: others read them. Null: not measured this time. */
export interface Report {
  readonly fullPath: FullPathReport | null
  readonly engine: EngineReport | null
  readonly idleAddedMs: IdleReport | null
  readonly memoryMiB10k: number | null
  readonly memory: MemoryReport | null
  readonly gas: GasReport | null
  readonly crypto: { readonly noble: Milliseconds; readonly mcl: Milliseconds } | null
  readonly machine: Machine & { readonly secondsPerRate: number; readonly loadAverages: Readonly<Record<string, number>> }
}

export type Row = readonly [name: string, measured: string, aim: string]

const NAME_WIDTH = 64
const VALUE_WIDTH = 26

export const line = ([name, measured, aim]: Row): string => `${name.padEnd(NAME_WIDTH)}${measured.padEnd(VALUE_WIDTH)}${aim}`.trimEnd()
export const heading = (text: string): string => `\n${text}\n${"-".repeat(text.length)}`
const ms = ({ p50, p99 }: Quantiles): string => `p50 ${p50} ms, p99 ${p99} ms`
const rate = (of: { readonly requestsPerSecond: number; readonly saturatedPerSecond: number }): string =>
  `${of.requestsPerSecond}/s (pile ${of.saturatedPerSecond}/s)`
const stateRows = (states: Readonly<Record<string, Quantiles>>): ReadonlyArray<Row> =>
  Object.entries(states).map(([state, of]) => [`    to ${state}`, ms(of), ""])

const fullPathRows = ({ inProcessBus, ...nats }: FullPathReport): ReadonlyArray<Row> => [
  ["held, NATS", rate(nats), ">= 100/s"],
  ["held, in-process bus", rate(inProcessBus), ">= 100/s"],
  ["detected to finalized, NATS", `p50 ${nats.p50Ms} ms, p99 ${nats.p99Ms} ms`, ""],
  ["detected to submitted, NATS", ms(nats.toSubmitted), ""],
  ...stateRows(nats.states),
  ...Object.entries(nats.cpuMs).map(([role, each]): Row => [`    CPU for each request: ${role}`, `${each} ms`, ""]),
  ["what the cores could carry by that", `${nats.cpuLimitPerSecond}/s`, ">= 100/s"]
]

const engineRows = ({ inProcessBus, stubPorts, stubPortsInProcessBus, ...nats }: EngineReport): ReadonlyArray<Row> => [
  ["stub steps, NATS", rate(nats), ">= 1,000/s"],
  ["    detected to finalized", `p50 ${nats.p50Ms} ms, p99 ${nats.p99Ms} ms`, ""],
  ["stub steps, in-process bus", rate(inProcessBus), ""],
  ["our steps over stub ports (shares, results, lanes kept), NATS", rate(stubPorts), ""],
  ["our steps over stub ports, in-process bus", rate(stubPortsInProcessBus), ""]
]

const idleRows = ({ inProcessBus, ...nats }: IdleReport): ReadonlyArray<Row> => [
  ["added, NATS", ms(nats), "p50 <= 15 ms, p99 <= 50 ms"],
  ["added, in-process bus", ms(inProcessBus), ""],
  ...stateRows(nats.states),
  ["detected to finalized, chain and nodes included", ms(nats.whole), ""],
  ["block announced to detected", ms(nats.detection), ""]
]

const memoryRows = ({ requests, idle, loaded }: MemoryReport): ReadonlyArray<Row> => [
  [`${requests} requests in flight`, `${loaded.rss} MiB`, "<= 256 MiB"],
  ["    of it neither code nor files", `${loaded.anonymous} MiB`, ""],
  ["before the first request", `${idle.rss} MiB`, ""]
]

const cryptoRows = (crypto: { readonly noble: Milliseconds; readonly mcl: Milliseconds }): ReadonlyArray<Row> =>
  Object.entries(crypto.mcl).map(([name, mcl]) => [name, `mcl ${mcl} ms`, `noble ${crypto.noble[name]} ms`])

/** Only what was measured. */
export const tables = (report: Report): string => {
  const { machine } = report
  const of = <A>(name: string, measured: A | null, rows: (measured: A) => ReadonlyArray<Row>): ReadonlyArray<string> =>
    measured === null ? [] : [heading(name), ...rows(measured).map(line)]
  return [
    ...machineLines(machine),
    ...of("Full path, public 2 of 3, everything on this machine", report.fullPath, fullPathRows),
    ...of("Engine alone, six transitions for each request", report.engine, engineRows),
    ...of("Added by the gateway to one request on an idle system", report.idleAddedMs, idleRows),
    ...of("Memory of one gateway process", report.memory, memoryRows),
    ...(report.gas === null ? [] : [heading("Gas"), gasTable(report.gas)]),
    ...of("Curve operations, median, one thread", report.crypto, cryptoRows),
    ""
  ].join("\n")
}
