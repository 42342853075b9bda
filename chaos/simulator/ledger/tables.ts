/**
 * The ledger's tables, with the constraints and triggers of its migrations (src/adapters/postgres/migrations). What stands in a
 * JSON column there is text here: whoever reads it gets a value of his own.
 */
import { isDeepStrictEqual } from "node:util"
import type { NodeId } from "../../../src/domain/committee.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { Milestone, RequestState } from "../../../src/domain/journey.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../../../src/domain/request.ts"
import type { ClusterNode, DrainOrder, OperatorAction, Pause } from "../../../src/ledger/cluster.port.ts"
import type { Attempt, LaneReport } from "../../../src/ledger/lane-ledger.port.ts"
import {
  appendOnly,
  CHECK_VIOLATION,
  ConstraintViolation,
  RESTRICT_VIOLATION,
  type TableDefinition,
  type Transaction
} from "./memory-table.ts"

/** JSON as text. */
export type Json = string

export interface RequestRow {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly anchor: Anchor
  readonly partition: number
  readonly detectedAtMs: number
  readonly state: RequestState
  readonly version: number
  readonly machineVersion: number
  readonly snapshot: Json
  readonly chainTail: Hex
  readonly endedAtMs: number | null
}

export interface TransitionRow {
  readonly requestId: RequestId
  readonly seq: number
  readonly from: RequestState | null
  readonly to: RequestState
  readonly event: Json
  readonly atMs: number
  readonly worker: string
  readonly leaseEpoch: bigint
  readonly hash: Hex
}

export const transitionTable: TableDefinition<TransitionRow> = {
  name: "transition",
  key: (row) => `${row.requestId}/${row.seq}`,
  guard: appendOnly("transition")
}

export interface WakeRow {
  readonly requestId: RequestId
  readonly partition: number
  readonly version: number
  readonly deadline: number
  readonly dueMs: number
  readonly claims: number
  readonly reason: string | null
}

export const wakeTable: TableDefinition<WakeRow> = {
  name: "wake",
  key: (row) => row.requestId,
  index: { partition: (row) => String(row.partition) }
}

export interface OutboxTableRow {
  readonly id: bigint
  readonly requestId: RequestId
  readonly partition: number
  readonly version: number
  readonly reached: Milestone
  readonly deadline: number
  readonly writtenAtMs: number
}

export const outboxTable: TableDefinition<OutboxTableRow> = {
  name: "outbox",
  key: (row) => String(row.id),
  index: { partition: (row) => String(row.partition) }
}

export interface SignalRow {
  readonly id: bigint
  readonly requestId: RequestId
  readonly partition: number
  readonly subject: string
  readonly event: Json
}

export const signalTable: TableDefinition<SignalRow> = {
  name: "signal",
  key: (row) => String(row.id),
  unique: { subject: (row) => `${row.requestId}/${row.subject}` },
  index: { partition: (row) => String(row.partition) }
}

export interface LeaseRow {
  readonly name: string
  readonly owner: string | null
  readonly epoch: bigint
  readonly untilMs: number
  /** The history of the database in which this epoch was given. */
  readonly givenIn: string
}

export const leaseTable: TableDefinition<LeaseRow> = { name: "lease", key: (row) => row.name }

export interface ShareAskRow {
  readonly requestId: RequestId
  readonly nodes: ReadonlyArray<NodeId>
  readonly budget: number
  readonly firstAtMs: number
  readonly lastAtMs: number
}

export const shareAskTable: TableDefinition<ShareAskRow> = {
  name: "share_ask",
  key: (row) => row.requestId,
  guard: ({ before, after }) => {
    if (before === undefined) return
    if (after === undefined || after.budget < before.budget || !before.nodes.every((node) => after.nodes.includes(node))) {
      throw new ConstraintViolation(RESTRICT_VIOLATION, "a node that was asked stays asked")
    }
  },
  checks: { share_budget: (row) => row.nodes.length <= row.budget }
}

export interface ShareRow {
  readonly requestId: RequestId
  readonly nodeId: NodeId
  readonly epoch: number
  readonly sealed: Uint8Array
}

export const shareTable: TableDefinition<ShareRow> = {
  name: "share",
  key: (row) => `${row.requestId}/${row.nodeId}`,
  index: { request: (row) => row.requestId }
}

export interface EvidenceRow {
  readonly id: bigint
  readonly requestId: RequestId
  readonly nodeId: NodeId
  readonly file: Json
  readonly atMs: number
}

export const evidenceTable: TableDefinition<EvidenceRow> = {
  name: "evidence",
  key: (row) => String(row.id),
  unique: { node: (row) => `${row.requestId}/${row.nodeId}` },
  index: { request: (row) => row.requestId },
  guard: appendOnly("evidence")
}

export interface AttestedBatchRow {
  readonly root: Hex
  readonly chainId: bigint
  readonly gateway: Hex
  readonly epoch: number
  readonly count: number
  readonly expiry: number
  readonly attestation: Uint8Array
  /** Requests that stand in it and have not ended; its payloads are deleted at 0. */
  readonly live: number
}

export const attestedBatchTable: TableDefinition<AttestedBatchRow> = { name: "attested_batch", key: (row) => row.root }

export interface AttestedPartRow {
  readonly part: Hex
  readonly root: Hex
  readonly requestId: RequestId
  readonly splitAtMs: number
}

export const attestedPartTable: TableDefinition<AttestedPartRow> = {
  name: "attested_part",
  key: (row) => row.part,
  index: { root: (row) => row.root }
}

export interface ResultRow {
  readonly root: Hex
  readonly position: number
  readonly requestId: RequestId
  readonly sealed: Uint8Array | null
}

export const resultTable: TableDefinition<ResultRow> = {
  name: "result",
  key: (row) => `${row.root}/${row.position}`,
  index: { root: (row) => row.root }
}

export interface StandingRow {
  readonly requestId: RequestId
  readonly root: Hex
}

export const standingTable: TableDefinition<StandingRow> = { name: "standing", key: (row) => row.requestId }

/** A request that ended keeps no secrets, whoever ended it. */
const forgetSecrets = ({ table }: Transaction, { id }: RequestRow): void => {
  for (const { requestId, nodeId } of table(shareTable).where("request", id)) table(shareTable).delete(`${requestId}/${nodeId}`)
  const stood = table(standingTable).delete(id)
  if (stood === undefined || table(attestedBatchTable).get(stood.root) === undefined) return
  const { live } = table(attestedBatchTable).update(stood.root, (row) => ({ ...row, live: row.live - 1 }))
  if (live > 0) return
  for (const { root, position } of table(resultTable).where("root", stood.root)) {
    table(resultTable).update(`${root}/${position}`, (row) => ({ ...row, sealed: null }))
  }
}

export const requestTable: TableDefinition<RequestRow> = {
  name: "request",
  key: (row) => row.id,
  guard: ({ before, after }) => {
    if (before !== undefined && after === undefined) throw new ConstraintViolation(CHECK_VIOLATION, "requests are never deleted")
  },
  checks: { version: (row) => row.version >= 1 },
  after: (transaction, { before, after }) => {
    if (before !== undefined && after !== undefined && after.endedAtMs !== null) forgetSecrets(transaction, after)
  }
}

export interface BlockRow {
  readonly chainId: bigint
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
}

export const chainCursorTable: TableDefinition<BlockRow> = { name: "chain_cursor", key: (row) => String(row.chainId) }

export interface ChainBlockRow extends BlockRow {
  readonly isCanonical: boolean
}

export const chainBlockTable: TableDefinition<ChainBlockRow> = {
  name: "chain_block",
  key: (row) => `${row.chainId}/${row.hash}`,
  unique: { canonical: (row) => (row.isCanonical ? `${row.chainId}/${row.number}` : undefined) },
  index: { chain: (row) => String(row.chainId) }
}

export interface SightingRow {
  readonly chainId: bigint
  readonly blockHash: Hex
  readonly logIndex: number
  readonly requestId: RequestId
}

export const sightingTable: TableDefinition<SightingRow> = {
  name: "sighting",
  key: (row) => `${row.chainId}/${row.blockHash}/${row.logIndex}`,
  index: { block: (row) => `${row.chainId}/${row.blockHash}` }
}

export interface LaneRow {
  readonly chainId: bigint
  readonly address: Hex
  readonly nextNonce: number
  readonly forgottenBelow: number
}

export const laneTable: TableDefinition<LaneRow> = { name: "lane", key: (row) => `${row.chainId}/${row.address}` }

export interface LaneBatchRow {
  readonly root: Hex
  readonly chainId: bigint
  /** The lane that carries it, or has reserved it until `heldUntilMs`. */
  readonly address: Hex | null
  readonly requestIds: ReadonlyArray<RequestId>
  readonly queued: bigint
  readonly queuedAtMs: number
  readonly heldUntilMs: number | null
  readonly notBeforeMs: number | null
  readonly failures: number
  readonly rejections: number
  readonly reason: string | null
  /** Null while it waits. */
  readonly nonce: number | null
}

export const laneBatchTable: TableDefinition<LaneBatchRow> = {
  name: "lane_batch",
  key: (row) => row.root,
  index: { waiting: (row) => (row.nonce === null ? String(row.chainId) : "") }
}

export interface LaneSpendRow {
  readonly chainId: bigint
  readonly address: Hex
  readonly nonce: number
  readonly requester: Hex
  readonly wei: bigint
  readonly spentAtMs: number
}

export const laneSpendTable: TableDefinition<LaneSpendRow> = {
  name: "lane_spend",
  key: (row) => `${row.chainId}/${row.address}/${row.nonce}/${row.requester}`
}

export interface LaneReportRow extends LaneReport {
  readonly chainId: bigint
  readonly address: Hex
  readonly atMs: number
}

export const laneReportTable: TableDefinition<LaneReportRow> = {
  name: "lane_report",
  key: (row) => `${row.chainId}/${row.address}`
}

export interface LaneSlotRow {
  readonly chainId: bigint
  readonly address: Hex
  readonly nonce: number
  readonly root: Hex
  readonly version: number
  readonly snapshot: Json
  readonly isFinal: boolean
  /** Since when; of one that is not final it says nothing. */
  readonly finalAtMs: number
}

export const laneSlotTable: TableDefinition<LaneSlotRow> = {
  name: "lane_slot",
  key: (row) => `${row.chainId}/${row.address}/${row.nonce}`,
  index: { lane: (row) => `${row.chainId}/${row.address}` },
  guard: ({ before, after }) => {
    if (before?.isFinal === false && after === undefined) throw new ConstraintViolation(RESTRICT_VIOLATION, `nonce ${before.nonce} is not final`)
  }
}

export interface TxAttemptRow extends Attempt {
  readonly chainId: bigint
  readonly address: Hex
}

export const txAttemptTable: TableDefinition<TxAttemptRow> = {
  name: "tx_attempt",
  key: (row) => `${row.chainId}/${row.address}/${row.nonce}/${row.attemptNo}`,
  index: { slot: (row) => `${row.chainId}/${row.address}/${row.nonce}`, lane: (row) => `${row.chainId}/${row.address}` },
  // Of what is final the bytes may be forgotten, and then the row.
  guard: ({ before, after }, { table }) => {
    const isOpen = before !== undefined && table(laneSlotTable).get(`${before.chainId}/${before.address}/${before.nonce}`)?.isFinal === false
    const isForgotten = after === undefined ? before?.rawTx === "0x" : isDeepStrictEqual({ ...before, rawTx: "0x" }, after)
    if (isOpen || !isForgotten) appendOnly("tx_attempt")({ before, after })
  }
}

export interface DatabaseTimelineRow {
  readonly reconciled: string | null
  readonly reconciledAtMs: number | null
  readonly noticed: string | null
  readonly noticedAtMs: number | null
  readonly lostUntilMs: number | null
  readonly rewinds: number
  readonly vouchedLife: number | null
}

export const DATABASE_TIMELINE = "only row"

export const databaseTimelineTable: TableDefinition<DatabaseTimelineRow> = { name: "database_timeline", key: () => DATABASE_TIMELINE }

/** Unlogged in PostgreSQL: a crash of the server may empty it. */
export interface GatewayNodeRow extends Omit<ClusterNode, "silentMs" | "heardAtMs"> {
  readonly beatAtMs: number
}

export const gatewayNodeTable: TableDefinition<GatewayNodeRow> = { name: "gateway_node", key: (row) => row.worker }

export const servedChainTable: TableDefinition<{ readonly chainId: bigint }> = { name: "served_chain", key: () => "only row" }

export const pauseTable: TableDefinition<Pause> = { name: "pause", key: (row) => row.target }

export const drainOrderTable: TableDefinition<DrainOrder & { readonly worker: string }> = { name: "drain_order", key: (row) => row.worker }

export const operatorActionTable: TableDefinition<OperatorAction & { readonly id: bigint }> = {
  name: "operator_action",
  key: (row) => String(row.id),
  guard: appendOnly("operator_action")
}
