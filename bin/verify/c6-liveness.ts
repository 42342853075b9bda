/** C6: every request that has not ended will be looked at again soon, every one that has ended is left alone, and the listener keeps up. */
import { isEnd } from "../../src/domain/journey.ts"
import { LEASE_MS, WORK_TIMEOUT_MS } from "../../src/domain/limits.ts"
import type { ChainRecords, Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

/** Overdue for longer than a takeover and a whole round of work can explain. */
export const OVERDUE_MS_MAX = 2 * LEASE_MS + WORK_TIMEOUT_MS
/** Final blocks that the listener may be behind: two epochs of Ethereum. */
const BLOCKS_BEHIND_MAX = 64

export const liveness = ({ requests, chain }: Records): Verdict => ({
  looked: requests.length,
  violations: [
    ...behind(chain),
    ...requests.flatMap(({ stored: { id, state }, overdueMs }): ReadonlyArray<Finding> => {
      if (isEnd(state)) return overdueMs === null ? [] : [{ subject: id, what: `has ended as ${state}, and is still waited for` }]
      if (overdueMs === null) return [{ subject: id, what: `stands in ${state}, and nobody will look at it again` }]
      return overdueMs > OVERDUE_MS_MAX ? [{ subject: id, what: `stands in ${state}, overdue for ${Math.round(overdueMs / 1_000)} s` }] : []
    })
  ]
})

const behind = ({ finalBlock, cursorBlock }: ChainRecords): ReadonlyArray<Finding> => {
  if (cursorBlock !== null && finalBlock - cursorBlock <= BLOCKS_BEHIND_MAX) return []
  const read = cursorBlock === null ? "no block" : `block ${cursorBlock}`
  return [{ subject: "listener", what: `has read ${read}, and block ${finalBlock} is final` }]
}
