/** Verified, attested results on their way to the chain. Payloads are sealed at rest and deleted when their request has ended. */
import { Context, type Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"
import type { AttestedRoot } from "../domain/response.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface AttestedBatch {
  readonly attested: AttestedRoot
  readonly chainId: bigint
  readonly gateway: Hex
  /** As the contract takes it: 128 bytes (BLS, uncompressed G1) or k*65 bytes (quorum). */
  readonly attestation: Uint8Array
  /** In the order of the Merkle leaves. */
  readonly responses: ReadonlyArray<{ readonly requestId: RequestId; readonly result: Uint8Array }>
}

export class ResultLedger extends Context.Service<
  ResultLedger,
  {
    /** All or nothing. A request that already stands in a batch stays in it: answers the root under which each request stands now. */
    readonly keep: (batch: AttestedBatch) => Effect.Effect<ReadonlyMap<RequestId, Hex>, LedgerUnavailable>
    readonly rootOf: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyMap<RequestId, Hex>, LedgerUnavailable>
    readonly batch: (root: Hex) => Effect.Effect<AttestedBatch | undefined, LedgerUnavailable>
  }
>()("portcullis/ledger/ResultLedger") {}
