/** ciphertext-fetched -> shares-collected: k authentic answers for each request, sealed in the ledger. Shares never leave by the bus. */
import { Effect } from "effect"
import type { RefusalReason, StepOutcome } from "../src/domain/outcome.ts"
import type { Committee } from "../src/domain/committee.ts"
import { Committees } from "../src/journey/4-shares-collected/committee.port.ts"
import type { StoredRequest } from "../src/ledger/stored-request.ts"
import type { NodeBeliefs } from "./kms-node.actor.ts"
import { gatherShares, holdings, isAboutTheRequest, type Gathered, type Holding } from "./runtime/gather-shares.ts"
import { orWhatTheChainSays } from "./runtime/or-what-the-chain-says.ts"
import { outcomesOfFailure, settle } from "./runtime/outcome-of-failure.ts"
import { stepActor } from "./runtime/step-actor.ts"

const RETRY_MS = 1_000

export const sharesCollectedActor = (concurrency: number, beliefs: NodeBeliefs) =>
  stepActor("ciphertext-fetched", concurrency, (requests) =>
    holdings(requests.map(({ id }) => id)).pipe(
      Effect.flatMap((holdingOf) =>
        Effect.forEach(requests, (request) => settle(collect(request, holdingOf(request.id), beliefs), request), { concurrency: "unbounded" })
      ),
      Effect.catch((error) => outcomesOfFailure(error, requests))
    )
  )

const collect = Effect.fnUntraced(function* (request: StoredRequest, holding: Holding, beliefs: NodeBeliefs) {
  const committees = yield* Committees
  const committee = yield* committees.committee(request.facts.epoch)
  const gathered = yield* gatherShares(request, committee, holding, beliefs)
  if (!gathered.isReached) return yield* orWhatTheChainSays(request, tooFew(gathered, committee))
  return { type: "shares-collected", nodes: gathered.answers.map(({ nodeId }) => nodeId) } satisfies StepOutcome
})

export const tooFew = ({ answers, failures }: Gathered, committee: Committee): StepOutcome => {
  const enough = committee.nodes.length - committee.threshold + 1
  const byReason = Map.groupBy(failures.filter(isAboutTheRequest), ({ reason }) => reason)
  for (const [reason, refusals] of byReason) {
    const nodes = new Set(refusals.map(({ nodeId }) => nodeId))
    if (nodes.size >= enough) {
      const detail = `nodes ${[...nodes].join(", ")} of ${committee.nodes.length} refused: ${reason}`
      return { type: "refused", reason: reason as RefusalReason, detail }
    }
  }
  const said = failures.map(({ nodeId, reason }) => `node ${nodeId}: ${reason}`).join("; ")
  return { type: "postponed", reason: `${answers.length} of ${committee.threshold} shares; ${said}`.slice(0, 900), retryAfterMs: RETRY_MS }
}
