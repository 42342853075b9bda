/**
 * What waits stands in tables that are emptied and filled all the time, and a session plans its statements once. A plan that was made while nothing
 * waited has to be good when thousands do: each waiting row is looked at a few times, and never once for each of the others.
 */
import { Effect, Layer } from "effect"
import { sql } from "kysely"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import pg from "pg"
import { afterAll, beforeAll, describe, test } from "vitest"
import { migrate } from "../../../src/adapters/postgres/migrate.ts"
import { Database, databaseLayer, type Prepared, SESSION_SETTINGS } from "../../../src/adapters/postgres/pool.ts"
import * as statements from "../../../src/adapters/postgres/request-statements.ts"
import { SAVE } from "../../../src/adapters/postgres/save-statement.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { postgresVersions } from "../../support/postgres.ts"

const WAITING = 2_000
const BATCH = 200
/** One that reads the waiting rows once for each row of a batch reads 400,000. */
const ROWS_READ_MAX = 5 * WAITING
/** Of 8 kB, found in memory: three or four for a look into an index, and some for writing. An index that is read whole for each row takes 20 and more. */
const BUFFERS_MAX = 10 * WAITING

/** EXECUTE takes no subqueries. */
const numbered = Array.from({ length: BATCH }, (_, index) => index + 1)
const idOf = (i: number) => createHash("sha256").update(new Uint8Array([0, 0, 0, 0, 0, 0, i >> 8, i & 255])).digest("hex")
const IDS = `'{${numbered.map((i) => `"\\\\x${idOf(i)}"`).join(",")}}'`
const NUMBERS = `'{${numbered.join(",")}}'`
const many = (value: string) => `array_fill(${value}, ARRAY[${BATCH}])`

/** The statements, with what they are asked: SQL expressions, so that they can be given to EXECUTE. */
const ASKED: ReadonlyArray<readonly [Prepared, ReadonlyArray<string>]> = [
  [statements.PUT_OFF_OWED, ["'{1}'", "60000"]],
  [statements.SETTLE, [NUMBERS]],
  [statements.OWED_IN_TURN, ["'{1}'", "'detected'", "'\\x'", `${BATCH}`, "0"]],
  [statements.CLAIM_OVERDUE, ["'{1}'", `${BATCH}`, "10000", "'{1}'", "'{}'"]],
  [statements.POSTPONE, [IDS, many("1"), many("1000::bigint"), many("'later'::text")]],
  [
    SAVE,
    [
      IDS,
      many("1::smallint"),
      many("1"),
      many("1::bigint"),
      many("'detected'::text"),
      many("'finalized'::text"),
      many("'{}'::text"),
      many("sha256('x')"),
      many("1"),
      many("'{}'::text"),
      many("NULL::bigint"),
      many("NULL::bytea"),
      many("NULL::integer"),
      many("NULL::text"),
      many("NULL::bigint"),
      many("'w'::text"),
      "'{partition/1}'",
      NUMBERS
    ]
  ]
]

const WAITING_ROWS = `
INSERT INTO lease (name, owner, epoch, until) VALUES ('partition/1', 'w', 1, now() + interval '1 day');
INSERT INTO request (request_id, chain_id, gateway, kind, requester, account, epoch, deadline, callback_gas, salt, handles, transport_key, partition,
                     detected_at, state, version, machine_version, snapshot, chain_tail, anchor_block_number, anchor_block_hash, anchor_log_index)
SELECT sha256(int8send(i)), 1, '\\x00', 'public', '\\x01', '\\x00', 1, 0, 0, '\\x00', '{}', '\\x', 1,
       now(), 'detected', 1, 1, '{}', sha256('x'), 1, '\\x00', 1 FROM generate_series(1, ${WAITING}) AS i;
INSERT INTO wake (request_id, partition, version, deadline, due)
SELECT sha256(int8send(i)), 1, 1, extract(epoch FROM now())::bigint + 3600, now() - interval '1 second' FROM generate_series(1, ${WAITING}) AS i;
INSERT INTO outbox (outbox_id, request_id, requester, partition, version, reached, deadline, written_at)
SELECT i, sha256(int8send(i)), '\\x01', 1, 1, 'detected', 0, now() - interval '1 minute' FROM generate_series(1, ${WAITING}) AS i;
INSERT INTO signal (request_id, partition, subject, event) SELECT sha256(int8send(i)), 1, 'position', '{}' FROM generate_series(1, ${WAITING}) AS i;`

interface Node {
  readonly "Relation Name"?: string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Join Filter"?: number
  readonly "Shared Hit Blocks": number
  readonly Plans?: ReadonlyArray<Node>
}

const rowsReadBy = (node: Node): number => {
  const rows = node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Join Filter"] ?? 0)
  return (node.Plans ?? []).reduce((sum, below) => sum + rowsReadBy(below), rows * node["Actual Loops"])
}

for (const version of postgresVersions) {
  describe(`plans of ${version.name}`, () => {
    let world: LedgerWorld
    let client: pg.Client
    beforeAll(async () => {
      world = await openLedgerWorld(version)
      const of = (database: string) => databaseLayer({ connection: { ...world.server.address, database }, applicationName: "plans" })
      const create = Effect.flatMap(Database, ({ kysely }) => Effect.promise(() => sql`CREATE DATABASE waiting`.execute(kysely)))
      await Effect.runPromise(Effect.provide(create, Layer.fresh(of(world.server.address.database))))
      await Effect.runPromise(Effect.provide(Effect.flatMap(Database, ({ kysely }) => migrate(kysely)), Layer.fresh(of("waiting"))))
      client = new pg.Client({ ...world.server.address, database: "waiting" })
      await client.connect()
      await client.query(SESSION_SETTINGS)
      await client.query("VACUUM ANALYZE")
      for (const [{ name, text }, values] of ASKED) {
        await client.query(`PREPARE "${name}" AS ${text}`)
        await client.query(`EXECUTE "${name}" (${values.join(", ")})`)
      }
      await client.query(WAITING_ROWS)
    })
    afterAll(async () => {
      await client?.end()
      await world?.close()
    })

    test.each(ASKED.map(([{ name }, values]) => [name, values] as const))("%s does not go through all that waits for each of its rows", async (name, values) => {
      await client.query("BEGIN")
      const { rows } = await client.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE "${name}" (${values.join(", ")})`)
      await client.query("ROLLBACK")
      const [{ Plan: plan }] = rows[0]["QUERY PLAN"] as readonly [{ readonly Plan: Node }]
      const seen = { rows: rowsReadBy(plan), buffers: plan["Shared Hit Blocks"] }
      assert(seen.rows <= ROWS_READ_MAX && seen.buffers <= BUFFERS_MAX, `${name}: ${JSON.stringify(seen)}\n${JSON.stringify(plan, null, 1)}`)
    })
  })
}
