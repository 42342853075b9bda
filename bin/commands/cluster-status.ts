/** `portcullis cluster status`: who is in the cluster, what each node holds, what is paused and by whom. */
import { clusterView, type ClusterView, type SeenNode } from "../cluster-view.ts"
import { withLedger } from "../ledger-access.ts"
import { runCommand, type Answer, type CommandFlags } from "../run-command.ts"
import { Effect } from "effect"
import { isReconciled, type TimelineView } from "../../src/ledger/timeline.port.ts"

export const clusterStatus = (flags: CommandFlags): Promise<void> => runCommand(flags, withLedger(flags, Effect.map(clusterView, answerOf)))

const answerOf = (view: ClusterView): Answer => ({
  json: view,
  lines: [
    ...(view.nodes.length === 0 ? ["no nodes"] : view.nodes.flatMap((node) => nodeLines(node, widthOf(view)))),
    ...view.strangers.map(({ owner, name }) => `${name} is held by ${owner}, which is no known node`),
    ...timelineLines(view.timeline),
    ...(view.pauses.length === 0 ? ["paused     nothing"] : []),
    ...view.pauses.map(({ target, by, why, sinceMs }) => `paused     ${target}  since ${time(sinceMs)}  by ${by}: ${why}`),
    ...view.actions.map(({ action, target, atMs, by, why }) => `history    ${time(atMs)}  ${action.padEnd(6)}  ${target}  by ${by}: ${why}`)
  ]
})

const timelineLines = (view: TimelineView): ReadonlyArray<string> => {
  const { here, reconciled, noticedAtMs, reconciledAtMs } = view
  if (!isReconciled(view)) {
    const before = reconciled === null ? "never compared with the chain before" : `last compared with the chain in ${reconciled}`
    return [`database   ${here}  RECONCILING: lanes send nothing; ${before}. docs/runbooks/failover.md`]
  }
  if (!view.isVouched) return [`database   ${here}  STARTED AGAIN: lanes send nothing until a gateway has seen that no commits are missing. docs/runbooks/failover.md`]
  const since = noticedAtMs === null || reconciledAtMs === null ? "" : `  since ${time(noticedAtMs)}, compared with the chain in ${duration(reconciledAtMs - noticedAtMs)}`
  return [`database   ${here}${since}`]
}

const widthOf = ({ nodes }: ClusterView): number => Math.max(...nodes.map(({ worker }) => worker.length))

const nodeLines = (node: SeenNode, width: number): ReadonlyArray<string> => {
  const { worker, state, version, roles, holds, machineVersions } = node
  return [
    `${worker.padEnd(width)}  ${state.padEnd(8)}  ${version}  machine ${machineVersions.join(",")}  ${howLong(node)}  ${roles.join(",")}`,
    ...heldLines(holds).map((held) => `${" ".repeat(width)}  holds ${held}`)
  ]
}

/** What a node has said last is shown where it is silent now: `working` and gone means that it did not say goodbye. */
const howLong = ({ state, farewell, silentMs, startedAtMs }: SeenNode): string => {
  const heard = `heard ${duration(silentMs)} ago`
  return state === "gone" ? `${farewell ?? "silent"}, ${heard}` : `since ${time(startedAtMs)}, ${heard}`
}

/** Partitions in one line, everything else by its name. */
const heldLines = (holds: ReadonlyArray<string>): ReadonlyArray<string> => {
  const partitions = holds.flatMap((name) => /^partition\/(\d+)$/.exec(name)?.[1] ?? [])
  const others = holds.filter((name) => !name.startsWith("partition/"))
  return [...(partitions.length === 0 ? [] : [`partitions ${partitions.toSorted((a, b) => Number(a) - Number(b)).join(" ")}`]), ...others]
}

const time = (ms: number): string => new Date(ms).toISOString()

const duration = (ms: number): string => {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  return `${Math.round(ms / 60_000)} min`
}
