/** detected -> acl-checked. Succeeds only when the access list says yes at a block that is final enough; silence is never a yes. */
import { Effect } from "effect"
import type { StepOutcome } from "../../domain/outcome.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../../domain/request.ts"
import { AccessList } from "./access-list.port.ts"

/** How long to wait before looking again whether a block has become final enough. */
const FINALITY_POLL_MS = 500

export const checkAcl = Effect.fnUntraced(function* (of: {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly anchor: Anchor
}) {
  const accessList = yield* AccessList
  const finality = yield* accessList.finality(of.anchor)
  if (finality !== "final") {
    // "gone": the listener will see it too and say whether the request was orphaned or moved.
    return postponed(finality === "gone" ? "block-gone" : "waiting-for-finality")
  }
  const permission = yield* accessList.permission(of.id, of.facts)
  switch (permission.type) {
    case "allowed":
      return { type: "acl-checked", block: permission.block } satisfies StepOutcome
    case "denied":
      return {
        type: "refused",
        reason: permission.reason,
        detail: `the access list said no at block ${permission.block.blockNumber} (${permission.block.blockHash})`
      } satisfies StepOutcome
    case "fulfilled":
      return { type: "submitted", txHash: permission.txHash, block: permission.block } satisfies StepOutcome
    case "expired":
      return { type: "expired", detail: `its deadline had passed at block ${permission.block.blockNumber}` } satisfies StepOutcome
    case "unknown":
      return postponed("request-not-visible")
  }
})

const postponed = (reason: string): StepOutcome => ({ type: "postponed", reason, retryAfterMs: FINALITY_POLL_MS })
