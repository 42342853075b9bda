/** What is forgotten of nonces that are final, in memory: src/adapters/postgres/forget-statement.ts. */
import type { Hex } from "../../../src/domain/hex.ts"
import type { LaneMemory } from "../../../src/ledger/lane-ledger.port.ts"
import type { Transaction } from "./memory-table.ts"
import {
  attestedBatchTable,
  attestedPartTable,
  type AttestedPartRow,
  laneBatchTable,
  laneSlotTable,
  type LaneSlotRow,
  laneSpendTable,
  laneTable,
  resultTable,
  txAttemptTable
} from "./tables.ts"

const slotKeyOf = ({ chainId, address, nonce }: Pick<LaneSlotRow, "chainId" | "address" | "nonce">): string => `${chainId}/${address}/${nonce}`

/** As in one statement: what is emptied now is not gone now. */
export const forgetIn = (transaction: Transaction, chainId: bigint, { bytesMs, historyMs }: LaneMemory, limit: number): number => {
  const slots = transaction
    .table(laneSlotTable)
    .all()
    .filter((slot) => slot.chainId === chainId && slot.isFinal)
    .toSorted((a, b) => a.finalAtMs - b.finalAtMs)
  const gone = oldSlots(transaction, slots, historyMs).slice(0, limit)
  const parts = oldParts(transaction, chainId, historyMs, limit)
  const forgotten = forgetBytes(transaction, slots, bytesMs, limit)
  for (const { part } of parts) transaction.table(attestedPartTable).delete(part)
  const slotRows = gone.reduce((sum, slot) => sum + forgetSlot(transaction, slot), 0)
  const roots = new Set([...gone, ...parts].map(({ root }) => root))
  const resultRows = [...roots].reduce((sum, root) => sum + forgetResults(transaction, root), 0)
  return forgotten + slotRows + parts.length + resultRows + forgetSpent(transaction, chainId, historyMs, limit)
}

const attemptsOf = ({ table }: Transaction, slot: LaneSlotRow) => table(txAttemptTable).where("slot", slotKeyOf(slot))

const forgetBytes = (transaction: Transaction, slots: ReadonlyArray<LaneSlotRow>, bytesMs: number, limit: number): number => {
  const beforeMs = transaction.nowMs - bytesMs
  const signed = slots
    .filter(({ finalAtMs }) => finalAtMs < beforeMs)
    .flatMap((slot) => attemptsOf(transaction, slot))
    .filter((attempt) => attempt.rawTx !== "0x" && attempt.signedAtMs < beforeMs)
    .toSorted((a, b) => a.signedAtMs - b.signedAtMs)
    .slice(0, limit)
  for (const row of signed) {
    transaction.table(txAttemptTable).update(`${slotKeyOf(row)}/${row.attemptNo}`, (attempt) => ({ ...attempt, rawTx: "0x" }))
  }
  return signed.length
}

const oldSlots = (transaction: Transaction, slots: ReadonlyArray<LaneSlotRow>, historyMs: number): ReadonlyArray<LaneSlotRow> =>
  slots.filter((slot) => slot.finalAtMs < transaction.nowMs - historyMs && attemptsOf(transaction, slot).every(({ rawTx }) => rawTx === "0x"))

/** Answers how many rows that were. */
const forgetSlot = (transaction: Transaction, slot: LaneSlotRow): number => {
  const { table } = transaction
  const { chainId, address, nonce, root } = slot
  const attempts = attemptsOf(transaction, slot)
  table(laneSlotTable).delete(slotKeyOf(slot))
  table(laneTable).update(`${chainId}/${address}`, (lane) => ({ ...lane, forgottenBelow: Math.max(lane.forgottenBelow, nonce + 1) }))
  for (const { attemptNo } of attempts) table(txAttemptTable).delete(`${slotKeyOf(slot)}/${attemptNo}`)
  const batch = table(laneBatchTable).get(root)
  const isCarried = batch?.address === address && batch.nonce === nonce
  if (isCarried) table(laneBatchTable).delete(root)
  return 1 + attempts.length + (isCarried ? 1 : 0)
}

/** What is left of a batch whose requests have all ended. */
const forgetResults = ({ table }: Transaction, root: Hex): number => {
  if (table(attestedBatchTable).get(root)?.live !== 0 || table(attestedPartTable).where("root", root).length > 0) return 0
  table(attestedBatchTable).delete(root)
  const leaves = table(resultTable).where("root", root)
  for (const { position } of leaves) table(resultTable).delete(`${root}/${position}`)
  return 1 + leaves.length
}

/** All parts of batches that were split, where none of them is wanted or on its way any more. */
const oldParts = ({ table, nowMs }: Transaction, chainId: bigint, historyMs: number, limit: number): ReadonlyArray<AttestedPartRow> => {
  const open = new Set(table(laneSlotTable).all().flatMap(({ isFinal, root }) => (isFinal ? [] : [root])))
  const isFree = ({ part }: AttestedPartRow) => table(laneBatchTable).get(part) === undefined && !open.has(part)
  const old = table(attestedPartTable).all().filter(({ splitAtMs }) => splitAtMs < nowMs - historyMs)
  return [...new Set(old.map(({ root }) => root))]
    .filter((root) => {
      const batch = table(attestedBatchTable).get(root)
      return batch?.chainId === chainId && batch.live === 0 && table(attestedPartTable).where("root", root).every(isFree)
    })
    .slice(0, limit)
    .flatMap((root) => table(attestedPartTable).where("root", root))
}

const forgetSpent = ({ table, nowMs }: Transaction, chainId: bigint, historyMs: number, limit: number): number => {
  const spent = table(laneSpendTable)
    .all()
    .filter((row) => row.chainId === chainId && row.spentAtMs < nowMs - historyMs)
    .toSorted((a, b) => a.spentAtMs - b.spentAtMs)
    .slice(0, limit)
  for (const row of spent) table(laneSpendTable).delete(`${slotKeyOf(row)}/${row.requester}`)
  return spent.length
}
