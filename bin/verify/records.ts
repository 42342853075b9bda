/** What the checks look at: the chain's word, the ledger's, and what the KMS nodes wrote down themselves. Plain values, so that the same
 * checks judge a live cluster, a chaos run on real processes and a simulated one. */
import type { NodeId } from "../../src/domain/committee.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { LaneId } from "../../src/ledger/lane-ledger.port.ts"
import type { AuditedLane, AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"

export interface ChainRecords {
  /** Requests in final blocks that the listener has passed. */
  readonly requested: ReadonlyArray<{ readonly requestId: RequestId; readonly blockNumber: number }>
  /** `DecryptionFulfilled` in final blocks. */
  readonly fulfilled: ReadonlyArray<{ readonly requestId: RequestId; readonly txHash: Hex; readonly blockNumber: number }>
  readonly finalBlock: number
  /** Nonces of each lane's account that final blocks have used up, by whatever bytes; by `laneNameOf`. */
  readonly finalNonces: ReadonlyMap<string, number>
  /** The newest block that the listener has read; null before the first. */
  readonly cursorBlock: number | null
}

export const laneNameOf = ({ chainId, address }: LaneId): string => `lane ${chainId}/${address}`

/** What one KMS node says it gave out: its own answer log, never ours. */
export interface NodeRecords {
  readonly node: NodeId
  readonly answers: ReadonlyArray<{ readonly requestId: RequestId; readonly atMs: number }>
}

export interface Records {
  readonly chain: ChainRecords
  readonly requests: ReadonlyArray<AuditedRequest>
  readonly lanes: ReadonlyArray<AuditedLane>
  /** Null where nobody handed the nodes' logs over: then C4 says so instead of passing. */
  readonly nodes: ReadonlyArray<NodeRecords> | null
  /** What nodes answered until then may be about asks that a failover of the database has lost; null when there never was one. */
  readonly lostUntilMs: number | null
  /** k of each epoch. */
  readonly thresholds: ReadonlyMap<number, number>
}
