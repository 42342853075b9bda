/** A request as the ledger keeps it. */
import type { Hex } from "../domain/hex.ts"
import type { Milestone, RequestState } from "../domain/journey.ts"
import type { RequestEvent } from "../domain/outcome.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../domain/request.ts"

export interface StoredRequest {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly anchor: Anchor
  readonly partition: number
  readonly state: RequestState
  /** Counts saved decisions; every save names the version it was decided on. */
  readonly version: number
  readonly machineVersion: number
  /** Persisted XState snapshot: plain JSON without secrets. */
  readonly snapshot: unknown
  /** Hash of the latest transition row, the tail of the request's hash chain. */
  readonly chainTail: Hex
  /** Milliseconds since the Unix epoch, by the database's clock. */
  readonly detectedAtMs: number
}

/** One decision, ready to be saved: all of it or nothing. */
export interface Change {
  readonly requestId: RequestId
  readonly partition: number
  /** The version the decision was made on. */
  readonly version: number
  /** Fencing epoch of the partition's lease under which it was made. */
  readonly leaseEpoch: bigint
  readonly from: RequestState
  readonly to: RequestState
  readonly event: RequestEvent
  readonly machineVersion: number
  readonly snapshot: unknown
  /** New anchor, when the event moved the request. */
  readonly anchor?: Anchor
  /** The state whose work is given out next: becomes an outbox row, */
  readonly dispatch: Milestone | null
  /** unless whoever saves it gives it out right after. Should it not come to that, the wake-up remembers the request. */
  readonly isGivenOutAtOnce?: true
  /** When the sweeper must look again; null when the request has ended. */
  readonly wakeAfterMs: number | null
  /** Signals that this decision answers; deleted with it. */
  readonly answeredSignals: ReadonlyArray<bigint>
}

/** `stale`: somebody else decided first, or the lease is lost. Nothing was written and the result is dropped. */
export type Saved =
  | { readonly requestId: RequestId; readonly type: "saved"; readonly version: number; readonly outboxId: bigint | null; readonly chainTail: Hex }
  | { readonly requestId: RequestId; readonly type: "stale" }
