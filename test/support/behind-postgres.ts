/** Behind the ledger's back on PostgreSQL, in its own words. */
import type { BehindTheLedger } from "./ledger-rig.ts"

type Query = (text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Record<string, unknown>>>

const bytea = (hex: string) => Buffer.from(hex.slice(2), "hex")

export const behindPostgres = (query: Query): BehindTheLedger => ({
  askedNodes: async (id) => {
    const [row] = await query("SELECT nodes FROM share_ask WHERE request_id = $1", [bytea(id)])
    return row?.["nodes"] as ReadonlyArray<number>
  },
  setAskedNodes: (id, nodes) => query("UPDATE share_ask SET nodes = $2::smallint[] WHERE request_id = $1", [bytea(id), nodes]),
  deleteAsk: (id) => query("DELETE FROM share_ask WHERE request_id = $1", [bytea(id)]),
  sealedShares: async (id) => {
    const rows = await query("SELECT sealed FROM share WHERE request_id = $1 ORDER BY node_id", [bytea(id)])
    return rows.map((row) => row["sealed"] as Uint8Array)
  },
  copySealedShare: (from, to) =>
    query("UPDATE share SET sealed = (SELECT sealed FROM share WHERE request_id = $1) WHERE request_id = $2", [
      bytea(from),
      bytea(to)
    ]),
  sealedResults: async (root) => {
    const rows = await query("SELECT sealed FROM result WHERE root = $1 ORDER BY position", [bytea(root)])
    return rows.map((row) => row["sealed"] as Uint8Array | null)
  },
  alterAttempts: (root) => query("UPDATE tx_attempt SET raw_tx = '\\x00' WHERE root = $1", [bytea(root)]),
  deleteAttempts: (root) => query("DELETE FROM tx_attempt WHERE root = $1", [bytea(root)]),
  emptyAttempts: (root) => query("UPDATE tx_attempt SET raw_tx = '' WHERE root = $1", [bytea(root)]),
  deleteSlots: (root) => query("DELETE FROM lane_slot WHERE root = $1", [bytea(root)]),
  alterTransition: (id, seq) =>
    query("UPDATE transition SET worker = 'somebody' WHERE request_id = $1 AND seq = $2", [bytea(id), seq]),
  deleteTransition: (id, seq) => query("DELETE FROM transition WHERE request_id = $1 AND seq = $2", [bytea(id), seq]),
  deleteAllTransitions: () => query("TRUNCATE transition"),
  tamperWithTransition: async (id, seq) => {
    await query("ALTER TABLE transition DISABLE TRIGGER append_only")
    try {
      await query("UPDATE transition SET at = at + interval '1 hour' WHERE request_id = $1 AND seq = $2", [bytea(id), seq])
    } finally {
      await query("ALTER TABLE transition ENABLE TRIGGER append_only")
    }
  }
})

/** The database's clock cannot be set, so everything that lanes remember is made older. */
export const makeLanesOlder = async (query: Query, ms: number): Promise<void> => {
  const ago = "- $1::bigint * interval '1 ms'"
  await query(
    `UPDATE lane_batch SET queued_at = queued_at ${ago}, held_until = held_until ${ago}, not_before = not_before ${ago} WHERE nonce IS NULL`,
    [ms]
  )
  await query(`UPDATE lane_spend SET spent_at = spent_at ${ago}`, [ms])
}

/** As well as what is final: many rows, for those who ask about it only. */
export const makeHistoryOlder = async (query: Query, ms: number): Promise<void> => {
  const ago = "- $1::bigint * interval '1 ms'"
  await makeLanesOlder(query, ms)
  await query(`UPDATE lane_slot SET final_at = final_at ${ago} WHERE is_final`, [ms])
  await query(`UPDATE attested_part SET split_at = split_at ${ago}`, [ms])
}
