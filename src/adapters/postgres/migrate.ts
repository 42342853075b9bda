/**
 * Brings a database to the schema of this program. Several gateways may start at once: kysely takes a transaction-scoped advisory
 * lock.
 */
import { Effect } from "effect"
import { type Kysely, sql } from "kysely"
import { type Migration, Migrator } from "kysely/migration"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import * as theLedger from "./migrations/0001-the-ledger.ts"
import * as cluster from "./migrations/0002-cluster.ts"
import * as lanes from "./migrations/0005-lanes.ts"
import * as work from "./migrations/0006-work.ts"
import * as timeline from "./migrations/0007-timeline.ts"
import * as parts from "./migrations/0009-parts.ts"
import * as oneChain from "./migrations/0010-one-chain.ts"
import * as rewinds from "./migrations/0011-rewinds.ts"

/** In order, for ever: names are what the database remembers. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001-the-ledger": theLedger,
  "0002-cluster": cluster,
  "0005-lanes": lanes,
  "0006-work": work,
  "0007-timeline": timeline,
  "0009-parts": parts,
  "0010-one-chain": oneChain,
  "0011-rewinds": rewinds
}

const DONE_ALREADY: Migration = { up: () => Promise.resolve() }

/** What a newer build has done to this database. While nodes are replaced one by one, one of the older build may have to start again: migrations
 * only ever add what the build before can do without, so it goes on. */
const doneByNewerBuilds = async <Tables>(database: Kysely<Tables>): Promise<Readonly<Record<string, Migration>>> => {
  const { rows } = await sql<{ readonly known: boolean }>`SELECT to_regclass('kysely_migration') IS NOT NULL AS known`.execute(database)
  if (rows[0]?.known !== true) return {}
  const newest = Object.keys(MIGRATIONS).at(-1) ?? ""
  const done = await sql<{ readonly name: string }>`SELECT name FROM kysely_migration WHERE name > ${newest}`.execute(database)
  return Object.fromEntries(done.rows.map(({ name }) => [name, DONE_ALREADY]))
}

/** Asked before: while kysely migrates, a pool of one connection has no other. */
const migratorOf = async <Tables>(database: Kysely<Tables>): Promise<Migrator> => {
  const known = { ...MIGRATIONS, ...(await doneByNewerBuilds(database)) }
  return new Migrator({ db: database, provider: { getMigrations: () => Promise.resolve(known) } })
}

/** Names of the migrations that this program knows and the database has not seen. Writes nothing. */
export const pendingMigrations = async <Tables>(database: Kysely<Tables>): Promise<ReadonlyArray<string>> => {
  const migrations = await (await migratorOf(database)).getMigrations()
  return migrations.filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name)
}

/** Answers the names of the migrations that were run now; empty when there was nothing to do. */
export const migrate = <Tables>(database: Kysely<Tables>): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable> =>
  Effect.tryPromise({
    try: async () => {
      const { error, results } = await (await migratorOf(database)).migrateToLatest()
      if (error !== undefined) throw error
      return (results ?? []).filter((result) => result.status === "Success").map((result) => result.migrationName)
    },
    catch: (cause) => new LedgerUnavailable({ doing: "migrate the database", cause })
  })
