/** Blocks seen, and the requests in them: cursor and requests move in one transaction, or not at all (I1). */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"
import type { Hex } from "../domain/hex.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../domain/request.ts"
import type { Lease, LeaseLost } from "./lease.port.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

export interface SeenBlock {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
}

export interface SeenRequest {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly anchor: Anchor
  readonly partition: number
  /** First snapshot of its machine, and that machine's version. */
  readonly snapshot: unknown
  readonly machineVersion: number
}

export interface Advanced {
  /** Newly born requests with the outbox row that owes their first piece of work. */
  readonly born: ReadonlyArray<{ readonly requestId: RequestId; readonly outboxId: bigint }>
  /** Requests that got a signal. */
  readonly signalled: ReadonlyArray<RequestId>
}

/** Another listener moved the cursor first. Nothing was written: read it again. */
export class CursorMoved extends Schema.TaggedError<CursorMoved>()("CursorMoved", { chainId: Schema.String }) {
  readonly fate: Fate = "retry"
}

export class DetectionLedger extends Context.Service<
  DetectionLedger,
  {
    /** The newest canonical block that was read, or undefined before the first. */
    readonly cursor: (chainId: bigint) => Effect.Effect<SeenBlock | undefined, LedgerUnavailable>
    /** The canonical block at this height, if it was read and is still kept. */
    readonly blockAt: (chainId: bigint, number: number) => Effect.Effect<SeenBlock | undefined, LedgerUnavailable>
    /**
     * One transaction: every block above `ancestor` stops being canonical and its requests get the signal `orphaned`; `blocks` (in
     * order) become canonical and the last of them the cursor; unknown requests are born in `detected` (transition, wake-up and outbox
     * rows included); a known request that stands elsewhere now gets the signal `moved` instead of `orphaned`. `expected` is the cursor's
     * hash when the caller read it (null before the first block). `lease` is the caller's leadership of the chain: under an epoch that is
     * not the current one nothing is written. null: a listener without election, whom only the cursor holds back.
     */
    readonly advance: (step: {
      readonly chainId: bigint
      readonly expected: Hex | null
      /** Number of the last block that stays; equal to the cursor's number when nothing was reorganised. */
      readonly ancestor: number
      readonly blocks: ReadonlyArray<SeenBlock>
      readonly requests: ReadonlyArray<SeenRequest>
      /** Blocks below this height are forgotten: they are final, or too deep to be taken back. */
      readonly keepFrom: number
      readonly worker: string
      readonly lease: Lease | null
    }) => Effect.Effect<Advanced, LedgerUnavailable | CursorMoved | LeaseLost>
    /**
     * What a second reading found in blocks that the cursor has passed: in one transaction unknown requests are born as `advance` bears
     * them, and known ones that the ledger believes gone or elsewhere get the signal `moved`, unless a signal waits for them. Everything
     * else is no news, so that it may be said any number of times and by anybody: it needs no lease and leaves the cursor alone. `on` is a
     * block that the ledger had as canonical when the reading began and that the requests' blocks lead up to. It may have become final
     * and been forgotten since; where the ledger has another one by now nothing is written (`CursorMoved`).
     */
    readonly birthMissed: (found: {
      readonly chainId: bigint
      readonly on: Pick<SeenBlock, "number" | "hash">
      readonly requests: ReadonlyArray<SeenRequest>
      readonly worker: string
    }) => Effect.Effect<Advanced, LedgerUnavailable | CursorMoved>
  }
>()("portcullis/ledger/DetectionLedger") {}
