/** What is asked about lanes in memory: what they spent, and how each is, for operators. Nothing here writes. */
import type { Hex } from "../../../src/domain/hex.ts"
import { type LaneId, laneLeaseName, type LaneView } from "../../../src/ledger/lane-ledger.port.ts"
import type { Transaction } from "./memory-table.ts"
import { laneReportTable, type LaneSlotRow, laneSlotTable, laneSpendTable, laneTable, leaseTable, txAttemptTable } from "./tables.ts"

const keyOf = ({ chainId, address }: LaneId): string => `${chainId}/${address}`

const recent = ({ table, nowMs }: Transaction, windowMs: number) =>
  table(laneSpendTable)
    .all()
    .filter((row) => row.spentAtMs > nowMs - windowMs)

const sum = (rows: ReadonlyArray<{ readonly wei: bigint }>): bigint => rows.reduce((total, { wei }) => total + wei, 0n)

export const spendingOf = (transaction: Transaction, lane: LaneId, windowMs: number, requesterMax: bigint) => {
  const rows = recent(transaction, windowMs).filter((row) => row.chainId === lane.chainId)
  const byRequester = [...Map.groupBy(rows, (row) => row.requester)]
  return {
    lane: sum(rows.filter((row) => row.address === lane.address)),
    overBudget: new Set(byRequester.filter(([, spent]) => sum(spent) > requesterMax).map(([requester]): Hex => requester))
  }
}

const rung = ({ table }: Transaction, { chainId, address, nonce, snapshot }: LaneSlotRow) => {
  const attempts = table(txAttemptTable).where("slot", `${chainId}/${address}/${nonce}`)
  const value = (JSON.parse(snapshot) as { readonly value?: string }).value
  const sinceMs = Math.round(attempts.reduce((first, { signedAtMs }) => Math.min(first, signedAtMs), Number.POSITIVE_INFINITY))
  return { nonce, state: value ?? "unknown", attempts: attempts.length, sinceMs }
}

export const lanesOf = (transaction: Transaction, windowMs: number): ReadonlyArray<LaneView> => {
  const { table, nowMs } = transaction
  const lanes = new Map<string, LaneId>(
    [...table(laneTable).all(), ...table(laneReportTable).all()].map((lane) => [keyOf(lane), lane])
  )
  const sorted = [...lanes.values()].toSorted((a, b) => Number(a.chainId - b.chainId) || (a.address < b.address ? -1 : 1))
  return sorted.map(({ chainId, address }): LaneView => {
    const key = keyOf({ chainId, address })
    const lease = table(leaseTable).get(laneLeaseName({ chainId, address }))
    const report = table(laneReportTable).get(key)
    const open = table(laneSlotTable)
      .where("lane", key)
      .filter((slot) => !slot.isFinal)
      .toSorted((a, b) => a.nonce - b.nonce)
    return {
      ...{ chainId, address },
      owner: lease !== undefined && lease.untilMs > nowMs ? lease.owner : null,
      report:
        report === undefined
          ? null
          : { state: report.state, balance: report.balance, chainNonce: report.chainNonce, atMs: report.atMs },
      nextNonce: table(laneTable).get(key)?.nextNonce ?? null,
      slots: open.map((slot) => rung(transaction, slot)),
      spent: sum(recent(transaction, windowMs).filter((row) => keyOf(row) === key))
    }
  })
}
