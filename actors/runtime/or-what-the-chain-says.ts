/** When nodes will not help with a request, the reason may be that it is over: fulfilled by somebody, or past its deadline. */
import { Effect } from "effect"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import { findFulfilment } from "../../src/journey/6-submitted/settle-submission.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"

export const orWhatTheChainSays = ({ id, facts }: StoredRequest, outcome: StepOutcome) =>
  outcome.type === "postponed"
    ? findFulfilment(id, facts.deadline).pipe(
        Effect.map((found): StepOutcome => found ?? outcome),
        Effect.catch(() => Effect.succeed(outcome))
      )
    : Effect.succeed(outcome)
