/**
 * Brings a database to the schema of this program. Several gateways may start at once: kysely takes a transaction-scoped advisory
 * lock.
 */
import { Effect } from "effect"
import { type Kysely, sql } from "kysely"
import { type Migration, Migrator } from "kysely/migration"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { BuildsApart, livingNodes, needsAStop, olderNodesLive, olderThanItsDatabase } from "./builds-apart.ts"
import * as theLedger from "./migrations/0001-the-ledger.ts"
import * as cluster from "./migrations/0002-cluster.ts"
import * as lanes from "./migrations/0005-lanes.ts"
import * as work from "./migrations/0006-work.ts"
import * as timeline from "./migrations/0007-timeline.ts"
import * as parts from "./migrations/0009-parts.ts"
import * as oneChain from "./migrations/0010-one-chain.ts"
import * as rewinds from "./migrations/0011-rewinds.ts"
import * as laneHistory from "./migrations/0013-lane-history.ts"
import * as turns from "./migrations/0014-turns.ts"
import * as numbers from "./migrations/0015-numbers.ts"

export type Migrations = Readonly<Record<string, Migration>>

/** In order, for ever: names are what the database remembers. One beside which the build before cannot work is named so (builds-apart.ts). */
export const MIGRATIONS: Migrations = {
  "0001-the-ledger": theLedger,
  "0002-cluster": cluster,
  "0005-lanes": lanes,
  "0006-work": work,
  "0007-timeline": timeline,
  "0009-parts": parts,
  "0010-one-chain": oneChain,
  "0011-rewinds": rewinds,
  "0013-lane-history": laneHistory,
  "0014-turns": turns,
  "0015-numbers": numbers
}

const DONE_ALREADY: Migration = { up: () => Promise.resolve() }

/** What a newer build has done to this database. While nodes are replaced one by one, one of the older build may have to start again: migrations
 * only ever add what the build before can do without, so it goes on; or they say that they do not, and it must not. */
const doneByNewerBuilds = async <Tables>(database: Kysely<Tables>, ours: Migrations): Promise<Migrations> => {
  const { rows } = await sql<{ readonly known: boolean }>`SELECT to_regclass('kysely_migration') IS NOT NULL AS known`.execute(database)
  if (rows[0]?.known !== true) return {}
  const newest = Object.keys(ours).at(-1) ?? ""
  const done = await sql<{ readonly name: string }>`SELECT name FROM kysely_migration WHERE name > ${newest} ORDER BY name`.execute(database)
  const names = done.rows.map(({ name }) => name)
  const parting = names.findLast(needsAStop)
  if (parting !== undefined) throw olderThanItsDatabase(parting)
  return Object.fromEntries(names.map((name) => [name, DONE_ALREADY]))
}

/** Asked before: while kysely migrates, a pool of one connection has no other. */
const migratorOf = async <Tables>(database: Kysely<Tables>, ours: Migrations): Promise<Migrator> => {
  const known = { ...ours, ...(await doneByNewerBuilds(database, ours)) }
  return new Migrator({ db: database, provider: { getMigrations: () => Promise.resolve(known) } })
}

const pendingOf = async (migrator: Migrator): Promise<ReadonlyArray<string>> =>
  (await migrator.getMigrations()).filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name)

/** Names of the migrations that this program knows and the database has not seen. Writes nothing. */
export const pendingMigrations = async <Tables>(database: Kysely<Tables>): Promise<ReadonlyArray<string>> =>
  pendingOf(await migratorOf(database, MIGRATIONS))

/** Answers the names of the migrations that were run now; empty when there was nothing to do. */
export const migrate = <Tables>(
  database: Kysely<Tables>,
  migrations = MIGRATIONS
): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable | BuildsApart> =>
  Effect.tryPromise({
    try: async () => {
      // Who lives is asked first: whoever lived before a migration that is still to be run is of an older build.
      const living = await livingNodes(database)
      const migrator = await migratorOf(database, migrations)
      const parting = living.length === 0 ? undefined : (await pendingOf(migrator)).find(needsAStop)
      if (parting !== undefined) throw olderNodesLive(parting, living)
      const { error, results } = await migrator.migrateToLatest()
      if (error !== undefined) throw error
      return (results ?? []).filter((result) => result.status === "Success").map((result) => result.migrationName)
    },
    catch: (cause) => (cause instanceof BuildsApart ? cause : new LedgerUnavailable({ doing: "migrate the database", cause }))
  })
