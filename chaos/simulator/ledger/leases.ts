/** Leases in memory. Only the database's clock counts, and only a change of owner changes the epoch. */
import { Layer } from "effect"
import { type Lease, Leases } from "../../../src/ledger/lease.port.ts"
import type { Connection } from "./connection.ts"
import type { Transaction } from "./memory-table.ts"
import { DATABASE_TIMELINE, databaseTimelineTable, type LeaseRow, leaseTable } from "./tables.ts"

/** The row, while it is still this owner's under this epoch. */
const held = ({ table }: Transaction, { name, epoch }: Lease, owner: string): LeaseRow | undefined => {
  const row = table(leaseTable).get(name)
  return row?.epoch === epoch && row.owner === owner ? row : undefined
}

/** Nobody has taken this lease since. Asked inside the statement that writes under it. */
export const isFenced = ({ table }: Transaction, { name, epoch }: Lease): boolean => table(leaseTable).get(name)?.epoch === epoch

/** Of the simulated servers: there is one cluster of them. */
export const SYSTEM = "simulated"

/** As `HERE` of src/adapters/postgres/timeline-statements.ts. */
export const historyIn = ({ table, timelineId }: Transaction): string => {
  const { rewinds = 0 } = table(databaseTimelineTable).get(DATABASE_TIMELINE) ?? {}
  return `${SYSTEM}/${timelineId}${rewinds > 0 ? `.${rewinds}` : ""}`
}

const EPOCHS_PER_TIMELINE_BITS = 32n

const firstEpoch = ({ timelineId }: Transaction): bigint => (BigInt(timelineId - 1) << EPOCHS_PER_TIMELINE_BITS) + 1n

/** As `epochBeyond` of src/adapters/postgres/timeline-statements.ts. */
export const epochBeyond = ({ timelineId, nowMs }: Transaction, epoch: bigint): bigint => {
  const known = epoch >> EPOCHS_PER_TIMELINE_BITS
  const here = BigInt(timelineId - 1)
  const later = ((here > known ? here : known) << EPOCHS_PER_TIMELINE_BITS) + BigInt(Math.round(nowMs / 1_000))
  return later > epoch ? later : epoch + 1n
}

export const leasesOn = (connection: Connection): Layer.Layer<Leases> =>
  Layer.succeed(Leases, {
    claim: (names, owner, ms) =>
      connection.statement("claim-leases", (transaction) => {
        const { table, nowMs } = transaction
        const leases = table(leaseTable)
        const givenIn = historyIn(transaction)
        const untilMs = nowMs + Math.round(ms)
        return [...new Set(names)].toSorted().flatMap((name): ReadonlyArray<Lease> => {
          const row = leases.get(name)
          if (row === undefined) {
            const epoch = firstEpoch(transaction)
            leases.insert({ name, owner, epoch, untilMs, givenIn })
            return [{ name, epoch }]
          }
          if (row.owner !== null && row.owner !== owner && row.untilMs > nowMs) return []
          const isElsewhere = row.givenIn !== givenIn
          const epoch = isElsewhere ? epochBeyond(transaction, row.epoch) : row.owner === owner ? row.epoch : row.epoch + 1n
          leases.update(name, () => ({ name, owner, epoch, untilMs, givenIn }))
          return [{ name, epoch }]
        })
      }),
    renew: (leases, owner, ms) =>
      connection.statement("renew-leases", (transaction) => {
        const ours = leases.filter((lease) => held(transaction, lease, owner) !== undefined)
        for (const { name } of ours) {
          transaction.table(leaseTable).update(name, (row) => ({ ...row, untilMs: transaction.nowMs + Math.round(ms) }))
        }
        return ours.map(({ name, epoch }) => ({ name, epoch }))
      }),
    resign: (leases, owner) =>
      connection.statement("resign-leases", (transaction) => {
        for (const lease of leases) {
          if (held(transaction, lease, owner) === undefined) continue
          transaction.table(leaseTable).update(lease.name, (row) => ({ ...row, owner: null, untilMs: transaction.nowMs }))
        }
      }),
    forget: (prefix, endedMs) =>
      connection.statement("forget-leases", ({ table, nowMs }) => {
        for (const { name, untilMs } of table(leaseTable).all()) {
          if (name.startsWith(prefix) && untilMs <= nowMs - Math.round(endedMs)) table(leaseTable).delete(name)
        }
      }),
    holders: connection.statement("read-leases", ({ table, nowMs }) =>
      table(leaseTable)
        .all()
        .flatMap(({ name, owner, epoch, untilMs }) =>
          owner === null || untilMs <= nowMs ? [] : [{ name, owner, epoch, remainingMs: untilMs - nowMs }]
        )
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    )
  })
