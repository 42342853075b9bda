/**
 * LaneLedger in memory: every write carries the lane's lease, and a nonce is taken with its signed bytes or not at all (I6). The
 * statements are those of src/adapters/postgres/lane-statements.ts, each at once.
 */
import { Effect, Layer } from "effect"
import type { Hex } from "../../../src/domain/hex.ts"
import {
  type Attempt,
  type BatchPart,
  FAILURE_PAUSE_FIRST_MS,
  FAILURE_PAUSE_LONGEST_MS,
  type LaneId,
  LaneLedger,
  PULLED_MS,
  type SeenAttempt,
  type Slot,
  type WaitingBatch
} from "../../../src/ledger/lane-ledger.port.ts"
import type { Lease } from "../../../src/ledger/lease.port.ts"
import type { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import type { Connection } from "./connection.ts"
import { lanesOf, spendingOf } from "./lane-overview.ts"
import { forgetIn } from "./lane-memory.ts"
import { isFenced } from "./leases.ts"
import { isReconciledIn, isThawedIn } from "./timeline.ts"
import { ConstraintViolation, type Transaction, UNIQUE_VIOLATION } from "./memory-table.ts"
import {
  attestedBatchTable,
  attestedPartTable,
  type LaneBatchRow,
  laneBatchTable,
  laneReportTable,
  type LaneSlotRow,
  laneSlotTable,
  laneSpendTable,
  laneTable,
  txAttemptTable,
  type TxAttemptRow
} from "./tables.ts"

/** Holes are not looked for further up than this. */
const HOLES_AHEAD = 1_024
const DOUBLINGS_MAX = 30

const keyOf = ({ chainId, address }: LaneId): string => `${chainId}/${address}`
const slotKeyOf = (lane: LaneId, nonce: number): string => `${keyOf(lane)}/${nonce}`
const isIn = (batch: LaneBatchRow, { chainId, address }: LaneId): boolean => batch.chainId === chainId && batch.address === address

/** What waits in the queue of a chain, the oldest first. */
const queueOf = ({ table }: Transaction, chainId: bigint): ReadonlyArray<LaneBatchRow> =>
  table(laneBatchTable)
    .where("waiting", String(chainId))
    .toSorted((a, b) => (a.queued < b.queued ? -1 : 1))

/** A batch that waits for this lane alone. */
const reserved = ({ table }: Transaction, lane: LaneId, root: Hex): LaneBatchRow | undefined => {
  const batch = table(laneBatchTable).get(root)
  return batch !== undefined && isIn(batch, lane) && batch.nonce === null ? batch : undefined
}

const waitingBatch = ({ root, requestIds, failures, rejections, reason }: LaneBatchRow): WaitingBatch => ({
  ...{ root, requestIds: [...requestIds], failures, rejections, reason }
})

/** Of a batch that was split, the parts. */
const enqueue = (transaction: Transaction, chainId: bigint, root: Hex, requestIds: LaneBatchRow["requestIds"]): void => {
  const parts = transaction.table(attestedPartTable).where("root", root)
  if (parts.length === 0) return enqueueOne(transaction, chainId, root, requestIds)
  for (const { part, requestId } of parts) if (requestIds.includes(requestId)) enqueueOne(transaction, chainId, part, [requestId])
}

/** Where a batch already is, it stays, unless the nonce that carried it is final: then whoever asks again wants it carried again. */
const enqueueOne = (transaction: Transaction, chainId: bigint, root: Hex, requestIds: LaneBatchRow["requestIds"]): void => {
  const { table, next, nowMs } = transaction
  const known = table(laneBatchTable).get(root)
  if (known === undefined) {
    table(laneBatchTable).insert({
      ...{ root, chainId, address: null, requestIds: [...requestIds], queued: next("lane-batch"), queuedAtMs: nowMs },
      ...{ heldUntilMs: null, notBeforeMs: null, failures: 0, rejections: 0, reason: null, nonce: null }
    })
    return
  }
  const slot =
    known.address === null || known.nonce === null
      ? undefined
      : table(laneSlotTable).get(slotKeyOf({ chainId: known.chainId, address: known.address }, known.nonce))
  table(laneBatchTable).update(root, (row) => ({
    ...row,
    requestIds: [...row.requestIds, ...requestIds.filter((id) => !row.requestIds.includes(id))],
    nonce: slot?.isFinal === true ? null : row.nonce
  }))
}

const pull = (transaction: Transaction, lane: LaneId, limit: number): ReadonlyArray<WaitingBatch> => {
  const { nowMs, table } = transaction
  const isFree = (batch: LaneBatchRow) => batch.heldUntilMs === null || batch.heldUntilMs <= nowMs || batch.address === lane.address
  const dueMs = ({ notBeforeMs, queuedAtMs }: LaneBatchRow) => notBeforeMs ?? queuedAtMs
  return queueOf(transaction, lane.chainId)
    .filter((batch) => (batch.notBeforeMs === null || batch.notBeforeMs <= nowMs) && isFree(batch))
    .toSorted((a, b) => dueMs(a) - dueMs(b)) // stable: of those that are due since the same moment, the oldest first
    .slice(0, limit)
    .map(({ root }) =>
      waitingBatch(table(laneBatchTable).update(root, (row) => ({ ...row, address: lane.address, heldUntilMs: nowMs + PULLED_MS })))
    )
}

type SlotStart = Parameters<LaneLedger["Service"]["take"]>[2]

const openSlot = ({ table }: Transaction, { chainId, address }: LaneId, { nonce, root, snapshot, attempt }: SlotStart): void => {
  table(laneSlotTable).insert({ chainId, address, nonce, root, version: 1, snapshot: JSON.stringify(snapshot), isFinal: false, finalAtMs: 0 })
  table(txAttemptTable).insert({ ...attempt, chainId, address, nonce })
}

/** The batch must be this lane's; the nonce must never have been taken, and none below it can be taken any more. */
const take = (transaction: Transaction, lane: LaneId, slot: SlotStart): boolean => {
  const { table } = transaction
  const known = table(laneTable).get(keyOf(lane))
  if (!isThawedIn(transaction)) return false
  if (reserved(transaction, lane, slot.root) === undefined || (known !== undefined && known.nextNonce > slot.nonce)) return false
  const nextNonce = slot.nonce + 1
  if (known === undefined) table(laneTable).insert({ chainId: lane.chainId, address: lane.address, nextNonce, forgottenBelow: 0 })
  else table(laneTable).update(keyOf(lane), (row) => ({ ...row, nextNonce }))
  table(laneBatchTable).update(slot.root, (row) => ({ ...row, nonce: slot.nonce, heldUntilMs: null }))
  openSlot(transaction, lane, slot)
  return true
}

const fill = (transaction: Transaction, lane: LaneId, slot: SlotStart): boolean => {
  const { table } = transaction
  const { nextNonce = 0, forgottenBelow = 0 } = table(laneTable).get(keyOf(lane)) ?? {}
  if (!isThawedIn(transaction) || nextNonce <= slot.nonce || forgottenBelow > slot.nonce || table(laneSlotTable).get(slotKeyOf(lane, slot.nonce)) !== undefined) return false
  openSlot(transaction, lane, slot)
  return true
}

/** The very next nonce, while the history of the database has not been compared with the chain. */
const adopt = (transaction: Transaction, lane: LaneId, slot: SlotStart): boolean => {
  const { table } = transaction
  const known = table(laneTable).get(keyOf(lane))
  if (isReconciledIn(transaction) || (known !== undefined && known.nextNonce !== slot.nonce)) return false
  const nextNonce = slot.nonce + 1
  if (known === undefined) table(laneTable).insert({ chainId: lane.chainId, address: lane.address, nextNonce, forgottenBelow: 0 })
  else table(laneTable).update(keyOf(lane), (row) => ({ ...row, nextNonce }))
  openSlot(transaction, lane, slot)
  return true
}

type SlotChange = Parameters<LaneLedger["Service"]["save"]>[2]

const giveBack = ({ table, nowMs }: Transaction, root: Hex, { reason, isFailure }: NonNullable<SlotChange["giveBack"]>): void => {
  table(laneBatchTable).update(root, (row) => {
    const pauseMs = Math.min(FAILURE_PAUSE_FIRST_MS * 2 ** Math.min(row.failures, DOUBLINGS_MAX), FAILURE_PAUSE_LONGEST_MS)
    return {
      ...row,
      ...{ nonce: null, address: null, heldUntilMs: null, reason, failures: row.failures + (isFailure ? 1 : 0) },
      notBeforeMs: isFailure ? nowMs + pauseMs : null
    }
  })
}

const save = (transaction: Transaction, lane: LaneId, change: SlotChange): boolean => {
  const { table, nowMs } = transaction
  const { nonce, version, snapshot, isFinal, attempt, spent } = change
  const { chainId, address } = lane
  const key = slotKeyOf(lane, nonce)
  const slot = table(laneSlotTable).get(key)
  if (slot?.version !== version || (attempt !== undefined && !isThawedIn(transaction))) return false
  const finalAtMs = isFinal && !slot.isFinal ? nowMs : slot.finalAtMs
  table(laneSlotTable).update(key, (row) => ({ ...row, version: version + 1, snapshot: JSON.stringify(snapshot), isFinal, finalAtMs }))
  for (const { requester, wei } of spent ?? []) {
    const known = table(laneSpendTable).get(`${key}/${requester}`)
    if (known === undefined) table(laneSpendTable).insert({ chainId, address, nonce, requester, wei, spentAtMs: nowMs })
    else table(laneSpendTable).update(`${key}/${requester}`, (row) => ({ ...row, wei }))
  }
  const batch = table(laneBatchTable).get(slot.root)
  if (change.giveBack !== undefined && batch !== undefined && isIn(batch, lane) && batch.nonce === nonce) {
    giveBack(transaction, slot.root, change.giveBack)
  }
  if (attempt !== undefined) table(txAttemptTable).insert({ ...attempt, chainId, address, nonce })
  return true
}

const split = (transaction: Transaction, lane: LaneId, root: Hex, parts: ReadonlyArray<BatchPart>, reason: string): boolean => {
  const { table, next, nowMs } = transaction
  const whole = reserved(transaction, lane, root)
  if (whole === undefined) return false
  table(laneBatchTable).delete(root)
  for (const { name, requestId, isWanted } of parts) {
    table(attestedPartTable).insertIfNew({ part: name, root, requestId, splitAtMs: nowMs })
    if (!isWanted) continue
    const { chainId, failures, queuedAtMs } = whole
    table(laneBatchTable).insertIfNew({
      ...{ root: name, chainId, address: null, requestIds: [requestId], queued: next("lane-batch"), queuedAtMs },
      ...{ heldUntilMs: null, notBeforeMs: null, failures, rejections: 0, reason, nonce: null }
    })
  }
  return true
}

const release = ({ table }: Transaction, lane: LaneId, nonce: number, reason: string): boolean => {
  const slot = table(laneSlotTable).get(slotKeyOf(lane, nonce))
  const batch = slot === undefined || slot.isFinal ? undefined : table(laneBatchTable).get(slot.root)
  if (batch === undefined || !isIn(batch, lane) || batch.nonce !== nonce) return false
  table(laneBatchTable).update(batch.root, (row) => ({ ...row, nonce: null, address: null, heldUntilMs: null, reason }))
  return true
}

const attemptOf = ({ chainId: _chainId, address: _address, ...attempt }: TxAttemptRow): Attempt => ({
  ...attempt,
  signedAtMs: Math.round(attempt.signedAtMs)
})

const slotOf = ({ table }: Transaction, row: LaneSlotRow): Slot => {
  const snapshot = JSON.parse(row.snapshot) as { readonly context?: { readonly mined?: unknown } }
  const isMined = (snapshot.context?.mined ?? null) !== null
  return {
    ...{ nonce: row.nonce, root: row.root, version: row.version, snapshot },
    attempts: table(txAttemptTable)
      .where("slot", slotKeyOf(row, row.nonce))
      .map((attempt): SeenAttempt => (isMined ? { ...attemptOf(attempt), rawTx: null } : attemptOf(attempt)))
      .toSorted((a, b) => a.attemptNo - b.attemptNo)
  }
}

/** That nonce or attempt is there already, so this decision was made on old news. */
const staleWhenTaken = (error: LedgerUnavailable) =>
  error.cause instanceof ConstraintViolation && error.cause.code === UNIQUE_VIOLATION ? Effect.succeed(false) : Effect.fail(error)

export const laneLedgerOn = (connection: Connection): Layer.Layer<LaneLedger> => {
  /** Under the lane's lease, or `none` and nothing is written. */
  const fenced = <A>(name: string, lease: Lease, none: A, write: (transaction: Transaction) => A) =>
    connection.statement(name, (transaction) => (isFenced(transaction, lease) ? write(transaction) : none))

  return Layer.succeed(LaneLedger, {
    enqueue: (chainId, root, requestIds) =>
      connection.statement("lane-enqueue", (transaction) => enqueue(transaction, chainId, root, requestIds)),

    pull: (lane, lease, limit) => fenced("lane-pull", lease, [], (transaction) => pull(transaction, lane, limit)),

    waiting: (chainId, limit) =>
      connection.statement("lane-waiting", (transaction) => queueOf(transaction, chainId).slice(0, limit).map(waitingBatch)),

    backlog: (chainId) =>
      connection.statement("lane-backlog", (transaction) => {
        const { nowMs } = transaction
        const queue = queueOf(transaction, chainId)
        const oldestMs = queue.reduce((oldest, { queuedAtMs }) => Math.max(oldest, nowMs - queuedAtMs), 0)
        return { waiting: queue.length, putOff: queue.filter((batch) => (batch.notBeforeMs ?? 0) > nowMs).length, oldestMs }
      }),

    open: Effect.fnUntraced(function* (lane) {
      const slots = yield* connection.statement("lane-open", (transaction) =>
        transaction
          .table(laneSlotTable)
          .where("lane", keyOf(lane))
          .filter((row) => !row.isFinal)
          .toSorted((a, b) => a.nonce - b.nonce)
          .map((row) => slotOf(transaction, row))
      )
      const nextNonce = yield* connection.statement("lane-next-nonce", ({ table }) => table(laneTable).get(keyOf(lane))?.nextNonce)
      return { nextNonce, slots }
    }),

    signed: (lane, nonce, attemptNo) =>
      connection.statement("lane-signed", ({ table }) => {
        const rawTx = table(txAttemptTable).get(`${slotKeyOf(lane, nonce)}/${attemptNo}`)?.rawTx
        return rawTx === "0x" ? undefined : rawTx
      }),

    take: (lane, lease, slot) =>
      fenced("lane-take", lease, false, (transaction) => take(transaction, lane, slot)).pipe(Effect.catch(staleWhenTaken)),

    holes: (lane, from, limit) =>
      connection.statement("lane-holes", ({ table }) => {
        const { nextNonce = from, forgottenBelow = 0 } = table(laneTable).get(keyOf(lane)) ?? {}
        const first = Math.max(from, forgottenBelow)
        const last = Math.min(nextNonce - 1, from + HOLES_AHEAD)
        const nonces = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
        return nonces.filter((nonce) => table(laneSlotTable).get(slotKeyOf(lane, nonce)) === undefined).slice(0, limit)
      }),

    fill: (lane, lease, slot) =>
      fenced("lane-fill", lease, false, (transaction) => fill(transaction, lane, slot)).pipe(Effect.catch(staleWhenTaken)),

    adopt: (lane, lease, slot) =>
      fenced("lane-adopt", lease, false, (transaction) => adopt(transaction, lane, slot)).pipe(Effect.catch(staleWhenTaken)),

    save: (lane, lease, change) =>
      fenced("lane-save", lease, false, (transaction) => save(transaction, lane, change)).pipe(Effect.catch(staleWhenTaken)),

    putBack: (lane, lease, root, reason, afterMs, isRejection = false) =>
      fenced("lane-put-back", lease, undefined, (transaction) => {
        if (reserved(transaction, lane, root) === undefined) return
        const notBeforeMs = transaction.nowMs + afterMs
        transaction.table(laneBatchTable).update(root, (row) => ({
          ...{ ...row, address: null, heldUntilMs: null, reason, notBeforeMs },
          rejections: row.rejections + (isRejection ? 1 : 0)
        }))
      }),

    split: (lane, lease, root, parts, reason) =>
      fenced("lane-split", lease, false, (transaction) => split(transaction, lane, root, parts, reason)),

    discard: (lane, lease, root) =>
      fenced("lane-discard", lease, undefined, (transaction) => {
        if (reserved(transaction, lane, root) !== undefined) transaction.table(laneBatchTable).delete(root)
      }),

    release: (lane, lease, nonce, reason) =>
      fenced("lane-release", lease, false, (transaction) => release(transaction, lane, nonce, reason)),

    isOnItsWay: (root) =>
      connection.statement(
        "lane-is-on-its-way",
        ({ table }) => {
          const carriers: ReadonlyArray<Hex> = [root, ...table(attestedPartTable).where("root", root).map(({ part }) => part)]
          return (
            (table(attestedBatchTable).get(root)?.live ?? 0) > 0 ||
            carriers.some((name) => table(laneBatchTable).get(name)?.nonce === null) ||
            table(laneSlotTable).all().some((slot) => carriers.includes(slot.root) && !slot.isFinal)
          )
        }
      ),
    requestsOf: (root) =>
      connection.statement("lane-requests-of", ({ table }) => [...(table(laneBatchTable).get(root)?.requestIds ?? [])]),

    busy: (chainId) =>
      connection.statement("lane-busy", ({ table }) => {
        const open = table(laneSlotTable).all().filter((row) => row.chainId === chainId && !row.isFinal)
        return [...new Set(open.map(({ address }) => address))].map((address) => ({ chainId, address }))
      }),

    spending: (lane, windowMs, requesterMax) =>
      connection.statement("lane-spending", (transaction) => spendingOf(transaction, lane, windowMs, requesterMax)),

    forget: (lease, chainId, memory, limit) =>
      fenced("lane-forget", lease, 0, (transaction) => forgetIn(transaction, chainId, memory, limit)),

    report: (lane, lease, { state, balance, chainNonce }) =>
      fenced("lane-report", lease, undefined, ({ table, nowMs }) => {
        const row = { chainId: lane.chainId, address: lane.address, state, balance, chainNonce, atMs: nowMs }
        if (table(laneReportTable).get(keyOf(lane)) === undefined) table(laneReportTable).insert(row)
        else table(laneReportTable).update(keyOf(lane), () => row)
      }),

    lanes: (windowMs) => connection.statement("lanes-all", (transaction) => lanesOf(transaction, windowMs))
  })
}
