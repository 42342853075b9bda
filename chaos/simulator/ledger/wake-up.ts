/** When to look at a request again, and how it is told something: what several ledgers write about requests. */
import type { Hex } from "../../../src/domain/hex.ts"
import type { SignalEvent } from "../../../src/domain/outcome.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import { transitionDigest, transitionHash } from "../../../src/ledger/hash-chain.ts"
import type { Transaction } from "./memory-table.ts"
import { requestTable, signalTable, transitionTable, type TransitionRow } from "./tables.ts"

/** After so many milliseconds, but a second after the deadline at the latest if that lies ahead. */
export const nextDueMs = (nowMs: number, afterMs: number, deadline: number): number => {
  const deadlineMs = deadline * 1_000
  return deadlineMs > nowMs && deadlineMs + 1_000 < nowMs + afterMs ? deadlineMs + 1_000 : nowMs + afterMs
}

/** Where a request stands is one subject: a request cannot be moved and gone at once. */
const subjectOf = ({ type }: SignalEvent): string => (type === "orphaned" || type === "moved" ? "position" : type)

export const positionSignalOf = ({ table }: Transaction, id: RequestId) => table(signalTable).by("subject", `${id}/position`)

/** A newer signal about the same subject gets a new id: whoever answers the older one does not answer this. */
export const raiseSignal = ({ table, next }: Transaction, requestId: RequestId, event: SignalEvent): void => {
  const request = table(requestTable).get(requestId)
  if (request === undefined) return
  const text = JSON.stringify(event)
  const subject = subjectOf(event)
  const waiting = table(signalTable).by("subject", `${requestId}/${subject}`)
  if (waiting?.event === text) return
  if (waiting !== undefined) table(signalTable).delete(String(waiting.id))
  table(signalTable).insert({ id: next("signal"), requestId, partition: request.partition, subject, event: text })
}

/** Adds a row to a history and answers its hash: the request's new tail. */
export const writeTransition = (
  { table, nowMs }: Transaction,
  previous: Hex,
  row: Omit<TransitionRow, "event" | "atMs" | "hash"> & { readonly event: unknown }
): Hex => {
  const hash = transitionHash(previous, transitionDigest(row), nowMs)
  table(transitionTable).insert({ ...row, event: JSON.stringify(row.event), atMs: nowMs, hash })
  return hash
}
