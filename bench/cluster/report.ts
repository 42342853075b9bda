/** All figures of a cluster's run, and the same as tables for people, each beside its aim. */
import type { Machine } from "../support/machine.ts"
import { machineLines } from "../support/parts.ts"
import type { RecoveryFigures } from "../support/recovery-time.ts"
import { heading, line, type Row } from "../support/report.ts"
import { FINISHED_RATIO_AIM, type FinishedReport } from "./finished.ts"
import type { NodesFigures } from "./nodes.ts"
import type { Kill, RecoveryReport } from "./recovery.ts"
import type { SoakNode, SoakReport } from "./soak.ts"

/** The names are an interface: others read them. Null: not measured this time. */
export interface ClusterReport {
  readonly nodesStub: ReadonlyArray<NodesFigures> | null
  readonly nodesNative: ReadonlyArray<NodesFigures> | null
  readonly recovery: RecoveryReport | null
  readonly finished: FinishedReport | null
  readonly soak: SoakReport | null
  readonly machine: Machine & { readonly secondsPerRate: number; readonly loadAverages: Readonly<Record<string, number>> }
}

const SAID: Readonly<Record<Kill, string>> = {
  "whole-gateway": "the only gateway, started again at once",
  "listener-leader": "the listener that leads",
  coordinator: "a coordinator with its partitions",
  "lane-owner": "a sender with its lanes",
  "nats-server": "one of three nats-servers",
  postgres: "PostgreSQL, stop immediate, started again at once"
}

const cpuOf = ({ cpuMs }: NodesFigures): number => Math.round(100 * Object.values(cpuMs).reduce((sum, each) => sum + each, 0)) / 100

const nodesRows = (figures: ReadonlyArray<NodesFigures>): ReadonlyArray<Row> =>
  figures.flatMap((of): ReadonlyArray<Row> => [
    [`${of.nodes} node${of.nodes === 1 ? "" : "s"}: held`, `${of.requestsPerSecond}/s (pile ${of.saturatedPerSecond}/s)`, ""],
    ["    detected to finalized", `p50 ${of.p50Ms} ms, p99 ${of.p99Ms} ms`, ""],
    ["    CPU for each request, everything", `${cpuOf(of)} ms`, `these cores: ${of.cpuLimitPerSecond}/s`]
  ])

const seconds = (value: number): string => `${Math.round(value / 100) / 10} s`

const recoveryRows = ({ kills, aimMs, unexpectedEnds }: RecoveryReport): ReadonlyArray<Row> => [
  ...(Object.entries(kills) as Array<[Kill, RecoveryFigures]>).flatMap(([kill, of]): ReadonlyArray<Row> => [
    [SAID[kill], `p50 ${seconds(of.recoveredMs.p50)}, p99 ${seconds(of.recoveredMs.p99)}`, `<= ${seconds(aimMs)}, < 15 s`],
    ["    nothing ended for", `p50 ${seconds(of.silenceMs.p50)}, p99 ${seconds(of.silenceMs.p99)}`, ""],
    ["    a request usually takes at most", `p50 ${seconds(of.usualMs.p50)}`, ""],
    [`    of ${of.repetitions} kills: requests that never ended`, String(of.open), "0"]
  ]),
  ["processes that ended unasked", String(unexpectedEnds.length), "0"]
]

const finishedRows = ({ finished, fillSeconds, databaseMiB, empty, full, ratio }: FinishedReport): ReadonlyArray<Row> => [
  [`${finished} finished requests, ${databaseMiB} MiB`, `filled in ${fillSeconds} s`, ""],
  ["CPU for each request, full by empty", `${ratio.cpu}x`, `<= ${FINISHED_RATIO_AIM}x`],
  ["    of PostgreSQL alone", `${ratio.postgresCpu}x`, ""],
  ["    time for a pile", `${ratio.time}x`, ""],
  ["rate of a pile, empty / full", `${empty.requestsPerSecond} / ${full.requestsPerSecond}/s`, ""]
]

const soakRow = (name: string, what: "rss" | "heap", node: SoakNode, mibPerHourMax: number): Row => {
  const { fromMiB, toMiB, mibPerHour, mibPerHourError, growth } = node[what]
  return [name, `${fromMiB} to ${toMiB} MiB`, `${mibPerHour} +- ${2 * mibPerHourError} MiB/h: ${growth} (<= ${mibPerHourMax})`]
}

const soakRows = ({ nodes, minutes, requestsPerSecond, raised, finalized, mibPerHourMax, isFlat }: SoakReport): ReadonlyArray<Row> => [
  [`${minutes} minutes at ${requestsPerSecond}/s`, `${finalized} of ${raised} finalized`, isFlat ? "flat" : "not shown to be flat"],
  ...nodes.flatMap((node): ReadonlyArray<Row> => [
    soakRow(`${node.node}, resident`, "rss", node, mibPerHourMax),
    soakRow("    heap after collections", "heap", node, mibPerHourMax)
  ])
]

/** Only what was measured. */
export const clusterTables = (report: ClusterReport): string => {
  const { machine } = report
  const of = <A>(name: string, measured: A | null, rows: (measured: A) => ReadonlyArray<Row>): ReadonlyArray<string> =>
    measured === null ? [] : [heading(name), ...rows(measured).map(line)]
  return [
    ...machineLines(machine),
    ...of("Nodes as processes over NATS, stub steps", report.nodesStub, nodesRows),
    ...of("Nodes as processes over NATS, whole native path, 2 of 3", report.nodesNative, nodesRows),
    ...of("From a kill to the end of the last delayed request", report.recovery, recoveryRows),
    ...of("Cost of finished requests in the tables", report.finished, finishedRows),
    ...of("Memory under a steady load", report.soak, soakRows),
    ""
  ].join("\n")
}
