/** `portcullis request list`: the newest requests, all or those in one state. */
import { Effect } from "effect"
import { isEnd, type RequestState } from "../../src/domain/journey.ts"
import { RequestLedger, type RequestSummary } from "../../src/ledger/request-ledger.port.ts"
import { evidenceOf } from "../../src/telemetry/evidence.ts"
import { withLedger } from "../ledger-access.ts"
import { runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface ListFlags extends CommandFlags {
  readonly state?: RequestState
  readonly limit: number
}

export const requestList = (flags: ListFlags): Promise<void> => runCommand(flags, withLedger(flags, listAnswer(flags)))

const listAnswer = Effect.fnUntraced(function* ({ state, limit }: ListFlags) {
  const ledger = yield* RequestLedger
  const requests = yield* ledger.list({ limit, ...(state === undefined ? {} : { state }) })
  const counts = yield* ledger.countByState
  return {
    json: { requests, counts },
    lines: [
      ...requests.map(summaryLine),
      ...(requests.length === 0 ? [state === undefined ? "no requests" : `no requests in ${state}`] : []),
      `total      ${Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ") || "none"}`
    ]
  } satisfies Answer
})

const summaryLine = ({ id, kind, state, detectedAtMs, endedAtMs, handles, lastEvent }: RequestSummary): string => {
  const took = endedAtMs === null ? "" : `  after ${endedAtMs - detectedAtMs} ms`
  const reason = isEnd(state) && lastEvent.type !== "detected" ? evidenceOf(lastEvent)["reason"] : undefined
  const size = `${handles} handle${handles === 1 ? " " : "s"}`
  return `${id}  ${kind.padEnd(6)}  ${size}  ${state.padEnd(18)}  ${new Date(detectedAtMs).toISOString()}${took}${reason === undefined ? "" : `  ${String(reason)}`}`
}
