/** The report of a run, for a person: a line for every event, a column for every node, what was injected, what was checked, how to replay. */
import { JOURNEY } from "../src/domain/journey.ts"
import type { Verdict } from "./campaign.ts"
import type { Delays } from "./delays.ts"
import type { ClusterShape, RigEvent, RigName, Target } from "./rig.ts"
import { targetsOf } from "./rig.ts"
import type { Scenario } from "./scenario.ts"

export interface Run {
  readonly scenario: Scenario
  readonly shape: ClusterShape
  readonly rig: RigName
  readonly minutes: number
  readonly events: ReadonlyArray<RigEvent>
  readonly verdict: Verdict
  /** What the rig says of itself. */
  readonly differences?: ReadonlyArray<string>
  readonly delays?: Delays
  /** Of each gateway, the builds from which it served, in turn. */
  readonly builds?: Readonly<Record<Target, ReadonlyArray<string>>>
  /** Requests that more than one build has decided about. */
  readonly carriedOver?: number
  /** What an upgrade began with, as it was typed. */
  readonly typed?: ReadonlyArray<string>
  /** Of a herd, when another size than the scenario's was asked for. */
  readonly requests?: number
}

const LEGEND = `1 to ${JOURNEY.length}: a request has reached that fact there; F it is final; E another end; X injected; O undone; ! said a warning; + raised; - anything else`

/** One letter in the column of the node that it happened to. */
const markOf = ({ kind, text }: RigEvent): string => {
  if (kind === "fact") {
    const state = text.split(" ")[0] ?? ""
    const at = (JOURNEY as ReadonlyArray<string>).indexOf(state)
    return at >= 0 ? String(at + 1) : state === "finalized" ? "F" : "E"
  }
  return { injected: "X", undone: "O", raised: "+", log: "!", ended: "#", phase: "-" }[kind]
}

export const columnsOf = (shape: ClusterShape): ReadonlyArray<string> => [...targetsOf(shape), "load"]

const WIDE = ["nats", "postgres", "standby", "store", "chain", "load"]
/** The first two letters of what is there once: na po st ch lo. */
const headOf = (column: string): string => (WIDE.includes(column) ? column.slice(0, 2) : column)
const widthOf = (column: string): number => headOf(column).length

export const headLine = (columns: ReadonlyArray<string>): string => `${"seconds".padStart(9)}  ${columns.map(headOf).join(" ")}`

export const eventLine = (columns: ReadonlyArray<string>, event: RigEvent): string => {
  const cells = columns.map((column) => (column === event.node ? markOf(event) : ".").padEnd(widthOf(column)))
  const who = event.node === "campaign" ? "" : `${event.node}: `
  return `${(event.atMs / 1_000).toFixed(3).padStart(9)}  ${cells.join(" ")}  ${who}${event.text.replaceAll("\n", " ")}`
}

export const replayLine = ({ scenario, rig, minutes, verdict, requests, typed = [] }: Run): string => {
  const words = ["--scenario", scenario.name, "--seed", verdict.seed, "--minutes", minutes, "--rig", rig, ...(requests === undefined ? [] : ["--requests", requests])]
  return `npm run chaos -- ${[...words, ...typed].join(" ")}`
}

/** Both are only known where processes run. */
const ofProcesses = ({ delays, builds = {}, carriedOver }: Run): ReadonlyArray<string> => [
  ...(delays === undefined
    ? []
    : [`answered: half of ${delays.requests} within ${seconds(delays.p50Ms)}, 99 % within ${seconds(delays.p99Ms)}, the slowest after ${seconds(delays.slowestMs)}`]),
  ...Object.entries(builds).map(([node, names]) => `${`${node}:`.padEnd(9)} served from ${inTurn(names)}`),
  ...(carriedOver === undefined ? [] : [`carried:  ${carriedOver} requests that one build began were gone on with by the other`])
]

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** `a, then b (3 times)`. */
const inTurn = (names: ReadonlyArray<string>): string => {
  const runs: Array<{ readonly name: string; times: number }> = []
  for (const name of names) {
    const last = runs.at(-1)
    if (last?.name === name) last.times++
    else runs.push({ name, times: 1 })
  }
  return runs.map(({ name, times }) => (times === 1 ? name : `${name} (${times} times)`)).join(", then ")
}

export const summaryLines = (run: Run): ReadonlyArray<string> => {
  const { verdict } = run
  const counted = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ") || "nothing"
  return [
    `requests: ${verdict.requests}; ended: ${counted(verdict.ended)}`,
    `injected: ${counted(verdict.injected)}`,
    `checked:  ${Object.entries(verdict.checks).map(([name, word]) => `${name} ${word}`).join(", ")}`,
    ...ofProcesses(run),
    ...verdict.violations.map((text) => `VIOLATION ${text}`),
    verdict.ok ? "no violation" : `${verdict.violations.length} violations`,
    `replay:   ${replayLine(run)}`
  ]
}

export const reportText = (run: Run): string => {
  const columns = columnsOf(run.shape)
  return [
    `# ${run.scenario.name}, seed ${run.verdict.seed}, rig ${run.rig}`,
    "",
    run.scenario.sentence,
    "",
    ...summaryLines(run),
    "",
    ...(run.differences === undefined ? [] : ["## What it ran on", "", ...run.differences, ""]),
    LEGEND,
    "",
    headLine(columns),
    ...run.events.map((event) => eventLine(columns, event)),
    ""
  ].join("\n")
}
