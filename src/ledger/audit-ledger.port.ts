/** The ledger as an auditor reads it: everything about a request in one moment, and the lanes' nonces. Reads only; `portcullis verify` and the
 * chaos suite hold it to the checks C1..C7 (bin/verify/). */
import { Context, type Effect } from "effect"
import type { NodeId } from "../domain/committee.ts"
import type { Hex } from "../domain/hex.ts"
import type { TransitionView } from "../domain/outcome.ts"
import type { RequestId } from "../domain/request.ts"
import type { LaneId } from "./lane-ledger.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"
import type { StoredRequest } from "./stored-request.ts"

export interface AuditedRequest {
  readonly stored: StoredRequest
  /** Oldest first. */
  readonly history: ReadonlyArray<TransitionView>
  /** Milliseconds by which its wake-up is overdue, negative while it lies ahead; null when nobody will look at it again. */
  readonly overdueMs: number | null
  /** Nodes that may have been asked for a share, and how many may be. Null: nobody was. */
  readonly asked: { readonly nodes: ReadonlyArray<NodeId>; readonly budget: number } | null
}

export interface AuditedLane {
  readonly lane: LaneId
  readonly nextNonce: number
  /** In nonce order. */
  readonly slots: ReadonlyArray<{
    readonly nonce: number
    readonly root: Hex
    readonly attempts: ReadonlyArray<{ readonly attemptNo: number; readonly root: Hex; readonly txHash: Hex }>
  }>
}

export class AuditLedger extends Context.Service<
  AuditLedger,
  {
    /** Requests that have not ended, and the newest ones whatever became of them; at most `limit` of each, no id twice. */
    readonly recentIds: (limit: number) => Effect.Effect<ReadonlyArray<RequestId>, LedgerUnavailable>
    /** Each as it was in one moment. Unknown ids are missing from the answer. */
    readonly requests: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyArray<AuditedRequest>, LedgerUnavailable>
    /** In the order of their ids, which never change: at most `limit` from the first after `after` on, each as it was in one moment. The last id of
     * one answer asks for the next; an empty one is the end. What was there from the first answer to the last is in one of them, once. */
    readonly page: (after: RequestId | null, limit: number) => Effect.Effect<ReadonlyArray<AuditedRequest>, LedgerUnavailable>
    /** What nodes answered until then may be about asks that a failover has lost; null when there never was one. */
    readonly lostUntilMs: Effect.Effect<number | null, LedgerUnavailable>
    /** Every lane with its newest slots, at most `slotsMax` of each, as they were in one moment. */
    readonly lanes: (slotsMax: number) => Effect.Effect<ReadonlyArray<AuditedLane>, LedgerUnavailable>
  }
>()("portcullis/ledger/AuditLedger") {}
