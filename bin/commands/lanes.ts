/** `portcullis lanes`: every sending account: who drives it, whether it sends, what it has and has spent, and its open nonces from the lowest up. */
import { Effect } from "effect"
import { formatEther } from "ethers"
import { LaneLedger, type Backlog, type LaneView } from "../../src/ledger/lane-ledger.port.ts"
import { withLedger } from "../ledger-access.ts"
import { runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface LanesFlags extends CommandFlags {
  /** Minutes. */
  readonly window: number
}

/** Slots of one lane that are shown one by one. */
const RUNGS_MAX = 8
/** Whoever drives a lane reports every ten seconds; older reports say how it was, not how it is. */
const REPORT_AGE_MS_MAX = 30_000

export const lanes = (flags: LanesFlags): Promise<void> => runCommand(flags, withLedger(flags, lanesAnswer(flags)))

const lanesAnswer = Effect.fnUntraced(function* ({ window }: LanesFlags) {
  const ledger = yield* LaneLedger
  const views = yield* ledger.lanes(window * 60_000)
  const chains = [...new Set(views.map(({ chainId }) => chainId))]
  const queues = yield* Effect.forEach(chains, (chainId) => Effect.map(ledger.backlog(chainId), (backlog) => ({ chainId, ...backlog })))
  return answerOf(views, queues, window, Date.now())
})

export const answerOf = (
  views: ReadonlyArray<LaneView>,
  queues: ReadonlyArray<Backlog & { readonly chainId: bigint }>,
  windowMinutes: number,
  nowMs: number
): Answer => ({
  json: {
    lanes: views.map(({ chainId, spent, report, ...rest }) => ({
      ...{ ...rest, chainId: String(chainId), spentWei: String(spent) },
      report: report && { ...report, balance: report.balance === null ? null : String(report.balance) }
    })),
    queues: queues.map(({ chainId, ...queue }) => ({ chainId: String(chainId), ...queue }))
  },
  lines: [
    ...(views.length === 0 ? ["no lanes: no sender has reported yet"] : views.flatMap((view) => laneLines(view, windowMinutes, nowMs))),
    ...queues.map(
      ({ chainId, waiting, putOff, oldestMs }) =>
        `queue      chain ${chainId}: ${waiting} waiting, ${putOff} of them put off${waiting === 0 ? "" : `, the oldest for ${seconds(oldestMs)}`}`
    )
  ]
})

const laneLines = (view: LaneView, windowMinutes: number, nowMs: number): ReadonlyArray<string> => {
  const { chainId, address, owner, report, nextNonce, slots, spent } = view
  const balance = report === null || report.balance === null ? "?" : formatEther(report.balance)
  const rungs = slots.slice(0, RUNGS_MAX).map(
    ({ nonce, state, attempts, sinceMs }) =>
      `  ${String(nonce).padStart(8)}  ${state.padEnd(9)}  ${attempts} attempt${attempts === 1 ? "" : "s"}, signed ${seconds(nowMs - sinceMs)} ago`
  )
  return [
    `${address}  chain ${chainId}  ${stateOf(view, nowMs)}  ${owner === null ? "nobody drives it" : `driven by ${owner}`}`,
    `  balance ${balance}, spent ${formatEther(spent)} in ${windowMinutes} min, next nonce ${nextNonce ?? "none"} (chain: ${report?.chainNonce ?? "?"}), ${slots.length} open`,
    ...rungs,
    ...(slots.length > RUNGS_MAX ? [`            and ${slots.length - RUNGS_MAX} above them`] : [])
  ]
}

const stateOf = ({ report }: LaneView, nowMs: number): string => {
  if (report === null) return "never reported"
  const ageMs = nowMs - report.atMs
  return ageMs <= REPORT_AGE_MS_MAX ? report.state : `${report.state} ${seconds(ageMs)} ago`
}

const seconds = (ms: number): string => (ms < 120_000 ? `${Math.max(0, Math.round(ms / 1_000))} s` : `${Math.round(ms / 60_000)} min`)
