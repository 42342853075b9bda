/** Verified, attested results on their way to the chain. Payloads are sealed at rest and deleted when their request has ended. */
import { Context, type Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"
import type { AttestedBatch } from "../domain/response.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export class ResultLedger extends Context.Service<
  ResultLedger,
  {
    /** All or nothing. A request that already stands in a batch stays in it: answers the root under which each request stands now. */
    readonly keep: (batch: AttestedBatch) => Effect.Effect<ReadonlyMap<RequestId, Hex>, LedgerUnavailable>
    readonly rootOf: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyMap<RequestId, Hex>, LedgerUnavailable>
    /** Also by the name of a part (domain/response.ts): then with the one response and its proof, as long as its request stands there. */
    readonly batch: (root: Hex) => Effect.Effect<AttestedBatch | undefined, LedgerUnavailable>
  }
>()("portcullis/ledger/ResultLedger") {}
