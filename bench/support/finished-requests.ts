/**
 * Fills the tables with requests that have ended, seven rows of history each: what years of service leave behind. Documents in
 * the rows are empty; what costs is how many rows there are, and the indexes over them.
 */
import { performance } from "node:perf_hooks"
import { Effect } from "effect"
import pg from "pg"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { migrate } from "../../src/adapters/postgres/migrate.ts"
import { Database, databaseLayer } from "../../src/adapters/postgres/pool.ts"

/** Of one statement: progress is said after each. */
const ROWS_PER_STATEMENT = 1_000_000

/** They ended a day ago and earlier, ten milliseconds one after the other. Numbered here: both tables are filled at the same time. */
const REQUEST = `
INSERT INTO request OVERRIDING SYSTEM VALUE SELECT sha256(int8send(i)), 1, '\\x00', 'public', '\\x00', '\\x00', 1, 0, 0, '\\x00', '{}', '\\x', i % 8,
  now() - interval '1 day' - i * interval '10 ms', 'finalized', 7, 1, '{}', sha256('x'), now() - interval '1 day' - i * interval '10 ms',
  1, '\\x00', 1, i
FROM generate_series($1::bigint, $2::bigint) AS i`
const TRANSITION = `
INSERT INTO transition (request_number, request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
SELECT i, sha256(int8send(i)), s, NULL, CASE s WHEN 7 THEN 'finalized' ELSE 'acl-checked' END, '{}',
  now() - interval '1 day' - i * interval '10 ms', 'bench', 1, sha256('x')
FROM generate_series($1::bigint, $2::bigint) AS i, generate_series(1, 7) AS s`

/**
 * As fast as one machine can: for a server that nobody else uses yet, whose settings may be without durability. The tables are
 * migrated first; their indexes are dropped and made again, since a million random keys in a row are sorted faster than found.
 */
export const fillFinished = async (address: PostgresAddress, count: number, say: (text: string) => void): Promise<number> => {
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  await Effect.runPromise(
    Effect.flatMap(Database, (opened) => migrate(opened.patient)).pipe(
      Effect.provide(databaseLayer({ connection: address, applicationName: "bench", connectionsMax: 1 }))
    )
  )
  // One connection for each table: two cores are busy.
  await Promise.all(
    Object.entries({ request: REQUEST, transition: TRANSITION }).map(async ([table, insert]) => {
      const client = new pg.Client({ ...address, application_name: "bench" })
      await client.connect()
      try {
        // Emptied in the same transaction: with wal_level = minimal nothing of this is written twice. The history's trigger
        // refuses that, and rightly, except to a bench.
        await client.query("BEGIN; SET LOCAL session_replication_role = replica")
        await client.query(`TRUNCATE ${table}`)
        const makeAgain = await dropIndexes(client, table)
        for (let from = 1; from <= count; from += ROWS_PER_STATEMENT) {
          const to = Math.min(count, from + ROWS_PER_STATEMENT - 1)
          await client.query(insert, [from, to])
          say(`${table}: ${to} of ${count} requests after ${seconds()} s`)
        }
        if (table === "request") await client.query("SELECT setval(pg_get_serial_sequence('request', 'number'), $1)", [count])
        for (const statement of makeAgain) await client.query(statement)
        await client.query("COMMIT")
        say(`${table}: indexes after ${seconds()} s`)
        // Frozen now, so that nothing is tidied up while something is measured.
        await client.query(`VACUUM (FREEZE, ANALYZE) ${table}`)
        say(`${table}: frozen after ${seconds()} s`)
      } finally {
        await client.end()
      }
    })
  )
  return seconds()
}

/** Answers the statements that make them again, exactly as they were. */
const dropIndexes = async (client: pg.Client, table: string): Promise<ReadonlyArray<string>> => {
  const { rows: constraints } = await client.query<{ name: string; definition: string }>(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype IN ('p', 'u')`,
    [table]
  )
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
     WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`,
    [table]
  )
  for (const { name } of constraints) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`)
  return [
    ...constraints.map(({ name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`),
    ...indexes.map(({ definition }) => definition)
  ]
}
