/** Shares and the budget of asking for them. Shares are sealed at rest and deleted when their request has ended. */
import { Context, type Effect } from "effect"
import type { NodeId } from "../domain/committee.ts"
import type { RequestId } from "../domain/request.ts"
import type { ShareAnswer } from "../domain/share.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export class ShareLedger extends Context.Service<
  ShareLedger,
  {
    /**
     * I7: records the intent to ask these nodes before anyone is asked, and answers which of them may be. Nodes recorded earlier may
     * always be asked again (under the same id). While `budget` (k-1 before the access check is final, n after) is used up, no further
     * node is granted.
     */
    readonly intend: (
      asks: ReadonlyArray<{ readonly requestId: RequestId; readonly nodes: ReadonlyArray<NodeId>; readonly budget: number }>
    ) => Effect.Effect<ReadonlyMap<RequestId, ReadonlyArray<NodeId>>, LedgerUnavailable>
    /** Keeps the first answer of each node; a second, different one changes nothing. */
    readonly keep: (answers: ReadonlyArray<ShareAnswer>) => Effect.Effect<void, LedgerUnavailable>
    readonly sharesOf: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyMap<RequestId, ReadonlyArray<ShareAnswer>>, LedgerUnavailable>
    /** A node lied about this request: its answer no longer counts, and the proof is kept for ever. */
    readonly reject: (
      requestId: RequestId,
      nodeId: NodeId,
      evidence: unknown
    ) => Effect.Effect<void, LedgerUnavailable>
    readonly rejectedNodes: (ids: ReadonlyArray<RequestId>) => Effect.Effect<ReadonlyMap<RequestId, ReadonlyArray<NodeId>>, LedgerUnavailable>
    /** Evidence files, newest first. */
    readonly evidence: (limit: number) => Effect.Effect<ReadonlyArray<unknown>, LedgerUnavailable>
  }
>()("portcullis/ledger/ShareLedger") {}
