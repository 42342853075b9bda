/** How long requesters waited: from the block with a request to the ledger's word that its result is on chain. */
import type { AuditedRequest } from "../src/ledger/audit-ledger.port.ts"
import type { RequestId } from "../src/domain/request.ts"

export interface Delays {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly slowestMs: number
}

const ANSWERED = "submitted"

/** Undefined when none was answered. A result that a reorganisation took back counts when it came again. `raisedAtMs` is by the clock of the database. */
export const delaysOf = (requests: ReadonlyArray<AuditedRequest>, raisedAtMs: ReadonlyMap<RequestId, number>): Delays | undefined => {
  const waited = requests
    .flatMap(({ stored, history }) => {
      const raised = raisedAtMs.get(stored.id)
      const answered = history.findLast(({ to }) => to === ANSWERED)
      return raised === undefined || answered === undefined ? [] : [Math.max(0, Math.round(answered.atMs - raised))]
    })
    .toSorted((a, b) => a - b)
  const slowestMs = waited.at(-1)
  if (slowestMs === undefined) return undefined
  const atShare = (share: number): number => waited[Math.ceil(share * waited.length) - 1] ?? slowestMs
  return { requests: waited.length, p50Ms: atShare(0.5), p99Ms: atShare(0.99), slowestMs }
}
