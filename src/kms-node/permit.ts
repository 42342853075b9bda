/** The node's own yes or no to a request, from its own chain connection. Nothing is derived before this has said yes. */
import { Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import { type DecryptionRequest, requestIdOf, type RequestId } from "../domain/request.ts"
import { type Denial, type Inspection, NodeChainView } from "./node-chain-view.port.ts"
import { formFault } from "./request-form.ts"
import { refuse } from "./refusal.ts"

const DENIED: Readonly<Record<Denial, string>> = {
  "not-allowed": "the account has no permission for one of the handles",
  "not-public": "one of the handles is not allowed to become public",
  "not-delegated": "the requester may not act for the account",
  "unknown-request": "nobody registered a ciphertext for one of the handles in this epoch",
  "epoch-retired": "the epoch is unknown to the chain, or retired"
}

const BEHIND_RETRY_MS = 300

export interface Permitted {
  readonly requestId: RequestId
  /** Registered digest of each ciphertext, in the order of the handles. */
  readonly digests: ReadonlyArray<Hex>
}

const verdict = ({ status, isExpired, denial, digests }: Inspection, requestId: RequestId) => {
  if (status === "unknown") return refuse("unknown-request", `the chain has no request ${requestId}`)
  // A request that is over needs no answer, whatever else there would be to say about it.
  if (status === "fulfilled") return refuse("already-fulfilled", `${requestId} has its result on chain`)
  if (isExpired) return refuse("expired", `${requestId} is past its deadline`)
  // What the older block says about permissions may be older than the request: not yet an answer.
  if (status === "unsettled") return refuse("chain-behind", "the request's block is not final enough yet", BEHIND_RETRY_MS)
  if (denial !== undefined) return refuse(denial, DENIED[denial])
  const registered = digests.filter((digest) => digest !== undefined)
  if (registered.length !== digests.length) return refuse("unknown-request", DENIED["unknown-request"])
  return { requestId, digests: registered } satisfies Permitted
}

/** Checks the form, then asks the chain. Fails with `Refusal`. */
export const permit = Effect.fnUntraced(function* (request: DecryptionRequest) {
  const fault = formFault(request)
  if (fault !== undefined) return yield* refuse("malformed", fault)
  const chain = yield* NodeChainView
  if (request.chainId !== chain.chainId || request.gateway !== chain.gateway) {
    return yield* refuse("unknown-request", "this node watches another chain or gateway")
  }
  const requestId = requestIdOf(request)
  const inspection = yield* chain
    .inspect(request)
    .pipe(Effect.mapError((error) => refuse("chain-unavailable", `the chain could not be asked (${error.doing})`)))
  const decided = verdict(inspection, requestId)
  return "reason" in decided ? yield* decided : decided
})
