/**
 * LaneLedger on PostgreSQL. Every write is one statement and carries the lane's lease: a sender that lost its lane can neither pull a
 * batch nor take a nonce nor store signed bytes.
 */
import { Effect, Layer } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import {
  type Attempt,
  FAILURE_PAUSE_FIRST_MS,
  FAILURE_PAUSE_LONGEST_MS,
  type LaneId,
  LaneLedger,
  PULLED_MS,
  type SeenAttempt,
  type Slot,
  type WaitingBatch
} from "../../ledger/lane-ledger.port.ts"
import type { Lease } from "../../ledger/lease.port.ts"
import type { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { lanesOverview } from "./lane-overview.ts"
import { FORGET } from "./forget-statement.ts"
import * as say from "./lane-statements.ts"
import { Database, type Prepared, sqlState, UNIQUE_VIOLATION } from "./pool.ts"
import { byteaOfHex } from "./wire-types.ts"

interface WaitingRow {
  readonly root: Hex
  readonly request_ids: ReadonlyArray<RequestId>
  readonly failures: number
  readonly rejections: number
  readonly reason: string | null
  readonly queued: bigint
}

interface OpenRow {
  readonly nonce: bigint
  readonly root: Hex
  readonly version: number
  readonly snapshot: unknown
  readonly attempt_no: number
  readonly attempt_root: Hex
  readonly tx_hash: Hex
  readonly raw_tx: Hex | null
  readonly gas_limit: bigint
  readonly max_fee_per_gas: string
  readonly max_priority_fee_per_gas: string
  readonly is_cancellation: boolean
  readonly signed_at_ms: number
}

const keyOf = (lane: LaneId): [bigint, string] => [lane.chainId, byteaOfHex(lane.address)]
const fenceOf = (lease: Lease): [string, bigint] => [lease.name, lease.epoch]

const attemptValues = (attempt: Attempt | undefined): ReadonlyArray<unknown> =>
  attempt === undefined
    ? [null, null, null, null, null, null, null, null, null]
    : [
        attempt.attemptNo,
        byteaOfHex(attempt.root),
        byteaOfHex(attempt.txHash),
        byteaOfHex(attempt.rawTx),
        attempt.gasLimit,
        attempt.maxFeePerGas,
        attempt.maxPriorityFeePerGas,
        attempt.isCancellation,
        attempt.signedAtMs
      ]

const attemptOf = (row: OpenRow): SeenAttempt => ({
  nonce: Number(row.nonce),
  attemptNo: row.attempt_no,
  root: row.attempt_root,
  txHash: row.tx_hash,
  rawTx: row.raw_tx,
  gasLimit: row.gas_limit,
  maxFeePerGas: BigInt(row.max_fee_per_gas),
  maxPriorityFeePerGas: BigInt(row.max_priority_fee_per_gas),
  isCancellation: row.is_cancellation,
  signedAtMs: Math.round(row.signed_at_ms)
})

const slotOf = (rows: ReadonlyArray<OpenRow>, head: OpenRow): Slot => ({
  nonce: Number(head.nonce),
  root: head.root,
  version: head.version,
  snapshot: head.snapshot,
  attempts: rows.map(attemptOf)
})

const waitingOf = (rows: ReadonlyArray<WaitingRow>): ReadonlyArray<WaitingBatch> =>
  rows
    .toSorted((a, b) => Number(a.queued - b.queued))
    .map(({ root, request_ids: requestIds, failures, rejections, reason }) => ({ root, requestIds, failures, rejections, reason }))

/** That nonce or attempt is there already, so this decision was made on old news. */
const staleWhenTaken = (error: LedgerUnavailable) => (sqlState(error) === UNIQUE_VIOLATION ? Effect.succeed(false) : Effect.fail(error))

export const laneLedgerLayer: Layer.Layer<LaneLedger, never, Database> = Layer.effect(
  LaneLedger,
  Effect.gen(function*() {
    const database = yield* Database
    const isDone = (doing: string, statement: Prepared, values: ReadonlyArray<unknown>) =>
      database.run(doing, statement, values).pipe(
        Effect.map((rows) => rows.length === 1),
        Effect.catch(staleWhenTaken)
      )
    const write = (doing: string, statement: Prepared, values: ReadonlyArray<unknown>) =>
      Effect.asVoid(database.run(doing, statement, values))

    return LaneLedger.of({
      enqueue: (chainId, root, requestIds) =>
        write("queue a batch", say.ENQUEUE, [byteaOfHex(root), chainId, requestIds.map(byteaOfHex)]),

      pull: (lane, lease, limit) =>
        Effect.map(
          database.run<WaitingRow>("pull batches", say.PULL, [...fenceOf(lease), ...keyOf(lane), limit, PULLED_MS]),
          waitingOf
        ),

      waiting: (chainId, limit) =>
        Effect.map(database.run<WaitingRow>("read waiting batches", say.WAITING, [chainId, limit]), waitingOf),

      backlog: (chainId) =>
        database
          .run<{ waiting: number; put_off: number; oldest_ms: number }>("count waiting batches", say.BACKLOG, [chainId])
          .pipe(
            Effect.map(([row]) => ({ waiting: row?.waiting ?? 0, putOff: row?.put_off ?? 0, oldestMs: Math.round(row?.oldest_ms ?? 0) }))
          ),

      open: Effect.fnUntraced(function*(lane) {
        const rows = yield* database.run<OpenRow>("read open slots", say.OPEN, keyOf(lane))
        const [next] = yield* database.run<{ next_nonce: bigint }>("read the next nonce", say.NEXT_NONCE, keyOf(lane))
        const groups = [...Map.groupBy(rows, (row) => row.nonce).values()]
        const slots = groups.flatMap((group) => (group[0] ? [slotOf(group, group[0])] : []))
        return { nextNonce: next === undefined ? undefined : Number(next.next_nonce), slots }
      }),

      signed: (lane, nonce, attemptNo) =>
        database
          .run<{ raw_tx: Hex }>("read signed bytes", say.SIGNED, [...keyOf(lane), nonce, attemptNo])
          .pipe(Effect.map(([row]) => row?.raw_tx)),

      take: (lane, lease, { nonce, root, snapshot, attempt }) =>
        isDone("take a nonce", say.TAKE, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, byteaOfHex(root), JSON.stringify(snapshot)],
          ...attemptValues(attempt)
        ]),

      holes: (lane, from, limit) =>
        database
          .run<{ nonce: bigint }>("look for nonces without a slot", say.HOLES, [...keyOf(lane), from, limit])
          .pipe(Effect.map((rows) => rows.map(({ nonce }) => Number(nonce)))),

      fill: (lane, lease, { nonce, root, snapshot, attempt }) =>
        isDone("fill a nonce without a slot", say.FILL, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, byteaOfHex(root), JSON.stringify(snapshot)],
          ...attemptValues(attempt)
        ]),

      adopt: (lane, lease, { nonce, root, snapshot, attempt }) =>
        isDone("adopt a nonce", say.ADOPT, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, byteaOfHex(root), JSON.stringify(snapshot)],
          ...attemptValues(attempt)
        ]),

      save: (lane, lease, { nonce, version, snapshot, isFinal, attempt, spent, giveBack }) =>
        isDone("save a slot", say.SAVE, [
          ...[...fenceOf(lease), ...keyOf(lane), nonce, version, JSON.stringify(snapshot), isFinal],
          ...[spent?.map(({ requester }) => byteaOfHex(requester)) ?? null, spent?.map(({ wei }) => String(wei)) ?? null],
          ...[giveBack?.reason ?? null, giveBack?.isFailure ?? false, FAILURE_PAUSE_FIRST_MS, FAILURE_PAUSE_LONGEST_MS],
          ...attemptValues(attempt)
        ]),

      putBack: (lane, lease, root, reason, afterMs, isRejection = false) =>
        write("put a batch back", say.PUT_BACK, [...fenceOf(lease), byteaOfHex(root), ...keyOf(lane), reason, afterMs, isRejection]),

      split: (lane, lease, root, parts, reason) =>
        isDone("split a batch", say.SPLIT, [
          ...[...fenceOf(lease), byteaOfHex(root), ...keyOf(lane)],
          ...[parts.map(({ name }) => byteaOfHex(name)), parts.map(({ requestId }) => byteaOfHex(requestId))],
          ...[parts.map(({ isWanted }) => isWanted), reason]
        ]),

      discard: (lane, lease, root) => write("discard a batch", say.DISCARD, [...fenceOf(lease), byteaOfHex(root), ...keyOf(lane)]),

      release: (lane, lease, nonce, reason) =>
        isDone("release a batch", say.RELEASE, [...fenceOf(lease), ...keyOf(lane), nonce, reason]),

      requestsOf: (root) =>
        database
          .run<{ request_ids: ReadonlyArray<RequestId> }>("read the requests of a batch", say.REQUESTS_OF, [byteaOfHex(root)])
          .pipe(Effect.map(([row]) => row?.request_ids ?? [])),

      isOnItsWay: (root) =>
        database
          .run<{ answer: boolean }>("look whether a batch is on its way", say.IS_ON_ITS_WAY, [byteaOfHex(root)])
          .pipe(Effect.map(([row]) => row?.answer ?? false)),

      busy: (chainId) =>
        database
          .run<{ chain_id: bigint; address: Hex }>("read lanes with open slots", say.BUSY, [chainId])
          .pipe(Effect.map((rows) => rows.map((row) => ({ chainId: row.chain_id, address: row.address })))),

      spending: (lane, windowMs, requesterMax) =>
        database
          .run<{ requester: Hex | null; wei: string }>("read what was spent", say.SPENDING, [...keyOf(lane), windowMs, requesterMax])
          .pipe(
            Effect.map((rows) => ({
              lane: BigInt(rows.find(({ requester }) => requester === null)?.wei ?? "0"),
              overBudget: new Set(rows.flatMap(({ requester }) => (requester === null ? [] : [requester])))
            }))
          ),

      forget: (lease, chainId, { bytesMs, historyMs }, limit) =>
        database
          .run<{ forgotten: number }>("forget what is final", FORGET, [...fenceOf(lease), chainId, bytesMs, historyMs, limit])
          .pipe(Effect.map(([row]) => row?.forgotten ?? 0)),

      report: (lane, lease, { state, balance, chainNonce }) =>
        write("report how a lane is", say.REPORT, [...fenceOf(lease), ...keyOf(lane), state, balance, chainNonce]),

      lanes: (windowMs) => lanesOverview(database, windowMs)
    })
  })
)
