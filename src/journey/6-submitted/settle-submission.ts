/** What the chain says about requests whose results are on their way or have arrived. The chain is the only witness that counts. */
import { Effect } from "effect"
import type { BlockRef, StepOutcome } from "../../domain/outcome.ts"
import type { RequestId } from "../../domain/request.ts"
import type { Hex } from "../../domain/hex.ts"
import { ResultContract } from "./result-contract.port.ts"

/** How long to wait before looking again whether a result has become final. */
const FINALITY_POLL_MS = 500

/** threshold-verified: already fulfilled (by us or by anybody) is success; past its deadline and not fulfilled is expired; else undefined. */
export const findFulfilment = Effect.fnUntraced(function* (id: RequestId, deadline: number) {
  const contract = yield* ResultContract
  // The head first: a result that is mined after it was read cannot be mistaken for one that came too late. And both from one
  // view: an endpoint that lags does not have a result in a block that another has already.
  const [head, mined] = yield* contract.together(Effect.all([contract.latest, contract.fulfilment(id)]))
  if (mined !== undefined) return { type: "submitted", txHash: mined.txHash, block: mined.block } satisfies StepOutcome
  if (head.timestamp > deadline) {
    const detail = `not fulfilled when its deadline passed (block ${head.number})`
    return { type: "expired", detail } satisfies StepOutcome
  }
  return undefined
})

/** submitted -> finalized, once the block of the result is final enough. A result that moved is followed to its new block. */
export const watchFinality = Effect.fnUntraced(function* (id: RequestId, deadline: number, txHash: Hex, block: BlockRef) {
  const contract = yield* ResultContract
  const finality = yield* contract.finality(block)
  if (finality === "final") return { type: "finalized", txHash, block } satisfies StepOutcome
  if (finality === "pending") return { type: "postponed", reason: "waiting-for-finality", retryAfterMs: FINALITY_POLL_MS } satisfies StepOutcome
  const found = yield* findFulfilment(id, deadline)
  return found ?? ({ type: "postponed", reason: "result-reorganised", retryAfterMs: FINALITY_POLL_MS } satisfies StepOutcome)
})
