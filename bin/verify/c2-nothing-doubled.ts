/** C2: one effect on chain for each request at most, and the one that its row names. Chain against chain, and against the database. */
import { isEnd } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import type { ChainRecords, Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

type Fulfilment = ChainRecords["fulfilled"][number]

export const nothingDoubled = ({ chain, requests }: Records): Verdict => {
  const fulfilments = Map.groupBy(chain.fulfilled, ({ requestId }) => requestId)
  const doubled = [...fulfilments]
    .filter(([, all]) => all.length > 1)
    .map(([subject, all]) => ({ subject, what: `was fulfilled ${all.length} times: ${all.map(({ txHash }) => txHash).join(", ")}` }))
  return {
    looked: Math.max(chain.fulfilled.length, requests.length),
    violations: [...doubled, ...requests.flatMap((request) => contradiction(request, fulfilments, chain))]
  }
}

/** An end that the chain contradicts. A cancelled or halted request may have been fulfilled by another gateway all the same. */
const contradiction = (
  { stored: { id, state }, history }: AuditedRequest,
  fulfilments: ReadonlyMap<RequestId, ReadonlyArray<Fulfilment>>,
  { finalBlock }: ChainRecords
): ReadonlyArray<Finding> => {
  if (!isEnd(state)) return []
  const [fulfilled] = fulfilments.get(id) ?? []
  if (state === "refused" || state === "expired") {
    return fulfilled === undefined ? [] : [{ subject: id, what: `ended as ${state}, and ${fulfilled.txHash} has fulfilled it` }]
  }
  const event = history.at(-1)?.event
  if (state !== "finalized" || event?.type !== "finalized" || event.block.blockNumber > finalBlock) return []
  if (fulfilled === undefined) return [{ subject: id, what: `is finalized by ${event.txHash}, and no final block has fulfilled it` }]
  return fulfilled.txHash === event.txHash
    ? []
    : [{ subject: id, what: `is finalized by ${event.txHash}, but ${fulfilled.txHash} has fulfilled it` }]
}
