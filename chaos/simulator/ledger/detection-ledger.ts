/** DetectionLedger in memory: one statement moves the cursor, keeps the blocks, bears the requests and raises signals (I1). */
import { Effect, Layer } from "effect"
import assert from "node:assert/strict"
import { WORK_TIMEOUT_MS } from "../../../src/domain/limits.ts"
import type { SignalEvent } from "../../../src/domain/outcome.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import {
  type Advanced,
  CursorMoved,
  DetectionLedger,
  type SeenBlock,
  type SeenRequest
} from "../../../src/ledger/detection-ledger.port.ts"
import { checkFound, checkStep } from "../../../src/ledger/detection-preconditions.ts"
import { GENESIS } from "../../../src/ledger/hash-chain.ts"
import { type LeaseLost, leaseLost } from "../../../src/ledger/lease.port.ts"
import type { Connection } from "./connection.ts"
import { isFenced } from "./leases.ts"
import type { Transaction } from "./memory-table.ts"
import { type BlockRow, chainBlockTable, chainCursorTable, outboxTable, requestTable, sightingTable, wakeTable } from "./tables.ts"
import { nextDueMs, positionSignalOf, raiseSignal, writeTransition } from "./wake-up.ts"

type Step = Parameters<DetectionLedger["Service"]["advance"]>[0]

const seenBlock = ({ number, hash, parentHash }: BlockRow): SeenBlock => ({ number, hash, parentHash })

const canonicalAt = ({ table }: Transaction, chainId: bigint, number: number): SeenBlock | undefined => {
  const row = table(chainBlockTable).by("canonical", `${chainId}/${number}`)
  return row === undefined ? undefined : seenBlock(row)
}

/** `false`: somebody else moved it. */
const moveCursor = ({ table }: Transaction, { chainId, expected }: Step, to: SeenBlock): boolean => {
  const cursors = table(chainCursorTable)
  if (expected === null) return cursors.insertIfNew({ chainId, ...to }) !== undefined
  if (cursors.get(String(chainId))?.hash !== expected) return false
  cursors.update(String(chainId), () => ({ chainId, ...to }))
  return true
}

/** Requests that were seen in the blocks above the ancestor, which are canonical no longer. */
const removeBlocks = ({ table }: Transaction, { chainId, ancestor }: Step): ReadonlyMap<RequestId, SeenBlock> => {
  const blocks = table(chainBlockTable)
  const removed = blocks.where("chain", String(chainId)).filter((row) => row.isCanonical && row.number > ancestor)
  for (const { hash } of removed) blocks.update(`${chainId}/${hash}`, (row) => ({ ...row, isCanonical: false }))
  return new Map(
    removed.flatMap((row) =>
      table(sightingTable)
        .where("block", `${chainId}/${row.hash}`)
        .map(({ requestId }) => [requestId, seenBlock(row)] as const)
    )
  )
}

const bear = (transaction: Transaction, request: SeenRequest, worker: string): bigint | undefined => {
  const { table, nowMs, next } = transaction
  const { id, facts, anchor, partition, snapshot, machineVersion } = request
  if (table(requestTable).get(id) !== undefined) return undefined
  const event = { type: "detected", anchor }
  const chainTail = writeTransition(transaction, GENESIS, {
    ...{ requestId: id, seq: 1, from: null, to: "detected", event, worker, leaseEpoch: 0n }
  })
  table(requestTable).insert({
    ...{ id, facts, anchor, partition, detectedAtMs: nowMs, state: "detected", version: 1, machineVersion },
    ...{ snapshot: JSON.stringify(snapshot), chainTail, endedAtMs: null }
  })
  const { deadline } = facts
  const dueMs = nextDueMs(nowMs, WORK_TIMEOUT_MS, deadline)
  table(wakeTable).insert({ requestId: id, partition, version: 1, deadline, dueMs, claims: 0, reason: null })
  const outboxId = next("outbox")
  table(outboxTable).insert({
    ...{ id: outboxId, requestId: id, partition, version: 1, reached: "detected", deadline, writtenAtMs: nowMs }
  })
  return outboxId
}

const keepBlocks = ({ table }: Transaction, { chainId, blocks: read, requests, keepFrom }: Step): void => {
  const blocks = table(chainBlockTable)
  for (const block of read) {
    const key = `${chainId}/${block.hash}`
    if (blocks.get(key) === undefined) blocks.insert({ chainId, ...block, isCanonical: true })
    else blocks.update(key, (row) => ({ ...row, isCanonical: true }))
  }
  for (const { id, anchor } of requests) {
    table(sightingTable).insertIfNew({ chainId, blockHash: anchor.blockHash, logIndex: anchor.logIndex, requestId: id })
  }
  for (const { hash, number } of blocks.where("chain", String(chainId))) {
    if (number >= keepFrom) continue
    blocks.delete(`${chainId}/${hash}`)
    for (const { logIndex } of table(sightingTable).where("block", `${chainId}/${hash}`)) {
      table(sightingTable).delete(`${chainId}/${hash}/${logIndex}`)
    }
  }
}

/** A known request that stands where it always stood, with no word to the contrary under way, is no news. */
const hasMoved = (transaction: Transaction, { id, anchor }: SeenRequest): boolean => {
  const known = transaction.table(requestTable).get(id)
  if (known === undefined) return false
  const isElsewhere = known.anchor.blockHash !== anchor.blockHash || known.anchor.logIndex !== anchor.logIndex
  return isElsewhere || known.state === "orphaned" || positionSignalOf(transaction, id) !== undefined
}

const advance = (transaction: Transaction, step: Step): Advanced | "lease lost" | "cursor moved" => {
  if (step.lease !== null && !isFenced(transaction, step.lease)) return "lease lost"
  const to = step.blocks.at(-1) ?? canonicalAt(transaction, step.chainId, step.ancestor)
  assert(to !== undefined, "a step leads to a block: its last one, or an ancestor that is still kept")
  if (!moveCursor(transaction, step, to)) return "cursor moved"
  const removed = removeBlocks(transaction, step)
  const sorted = step.requests.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const born = sorted.flatMap((request) => {
    const outboxId = bear(transaction, request, step.worker)
    return outboxId === undefined ? [] : [{ requestId: request.id, outboxId }]
  })
  keepBlocks(transaction, step)
  const isBorn = new Set(born.map(({ requestId }) => requestId))
  const seen = new Set(step.requests.map(({ id }) => id))
  const moved = step.requests.filter((request) => !isBorn.has(request.id) && hasMoved(transaction, request))
  const told: ReadonlyArray<{ readonly requestId: RequestId; readonly event: SignalEvent }> = [
    ...moved.map(({ id, anchor }) => ({ requestId: id, event: { type: "moved", anchor } as const })),
    ...[...removed].flatMap(([requestId, { number, hash }]) =>
      seen.has(requestId) ? [] : [{ requestId, event: { type: "orphaned", block: { blockNumber: number, blockHash: hash } } as const }]
    )
  ]
  for (const { requestId, event } of told.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1))) {
    raiseSignal(transaction, requestId, event)
  }
  return { born, signalled: told.map(({ requestId }) => requestId) }
}

type Found = Parameters<DetectionLedger["Service"]["birthMissed"]>[0]

/** A height below the cursor that has no block any more is final and was forgotten. */
const standsOn = (transaction: Transaction, chainId: bigint, on: Found["on"]): boolean => {
  const kept = canonicalAt(transaction, chainId, on.number)
  if (kept !== undefined) return kept.hash === on.hash
  return (transaction.table(chainCursorTable).get(String(chainId))?.number ?? -1) > on.number
}

const birthMissed = (transaction: Transaction, { chainId, on, requests, worker }: Found): Advanced | "cursor moved" => {
  const { table } = transaction
  if (!standsOn(transaction, chainId, on)) return "cursor moved"
  const sorted = requests.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const born = sorted.flatMap((request) => {
    const outboxId = bear(transaction, request, worker)
    return outboxId === undefined ? [] : [{ requestId: request.id, outboxId }]
  })
  for (const { id, anchor } of requests) {
    if (table(chainBlockTable).get(`${chainId}/${anchor.blockHash}`) === undefined) continue
    table(sightingTable).insertIfNew({ chainId, blockHash: anchor.blockHash, logIndex: anchor.logIndex, requestId: id })
  }
  const isBorn = new Set(born.map(({ requestId }) => requestId))
  const moved = sorted.filter(
    (request) => !isBorn.has(request.id) && positionSignalOf(transaction, request.id) === undefined && hasMoved(transaction, request)
  )
  for (const { id, anchor } of moved) raiseSignal(transaction, id, { type: "moved", anchor })
  return { born, signalled: moved.map(({ id }) => id) }
}

export const detectionLedgerOn = (connection: Connection): Layer.Layer<DetectionLedger> =>
  Layer.succeed(DetectionLedger, {
    cursor: (chainId) =>
      connection.statement("read-cursor", ({ table }) => {
        const row = table(chainCursorTable).get(String(chainId))
        return row === undefined ? undefined : seenBlock(row)
      }),
    blockAt: (chainId, number) =>
      connection.statement("read-block", (transaction) => canonicalAt(transaction, chainId, number)),
    birthMissed: (found) => {
      checkFound(found)
      if (found.requests.length === 0) return Effect.succeed({ born: [], signalled: [] })
      return connection
        .statement("birth-missed", (transaction) => birthMissed(transaction, found))
        .pipe(
          Effect.flatMap((done): Effect.Effect<Advanced, CursorMoved> =>
            typeof done === "string" ? Effect.fail(new CursorMoved({ chainId: String(found.chainId) })) : Effect.succeed(done)
          )
        )
    },
    advance: (step) => {
      checkStep(step)
      return connection
        .statement("advance-cursor", (transaction) => advance(transaction, step))
        .pipe(
          Effect.flatMap((done): Effect.Effect<Advanced, CursorMoved | LeaseLost> => {
            if (done === "lease lost" && step.lease !== null) return Effect.fail(leaseLost(step.lease))
            if (typeof done === "string") return Effect.fail(new CursorMoved({ chainId: String(step.chainId) }))
            return Effect.succeed(done)
          })
        )
    }
  })
