/** C1: a request that stands in a final block has a row. Chain against database. */
import type { Records } from "./records.ts"
import type { Verdict } from "./verdict.ts"

export const nothingLost = ({ chain, requests }: Records): Verdict => {
  const known = new Set(requests.map(({ stored }) => stored.id))
  return {
    looked: chain.requested.length,
    violations: chain.requested
      .filter(({ requestId }) => !known.has(requestId))
      .map(({ requestId, blockNumber }) => ({ subject: requestId, what: `stands in block ${blockNumber}, and has no row` }))
  }
}
