/** Brings a database to the schema of this program. Several gateways may start at once: kysely takes a transaction-scoped advisory lock. */
import { Effect } from "effect"
import type { Kysely } from "kysely"
import { type Migration, Migrator } from "kysely/migration"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import * as theLedger from "./migrations/0001-the-ledger.ts"

/** In order, for ever: names are what the database remembers. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001-the-ledger": theLedger
}

/** Answers the names of the migrations that were run now; empty when there was nothing to do. */
export const migrate = <Tables>(database: Kysely<Tables>): Effect.Effect<ReadonlyArray<string>, LedgerUnavailable> =>
  Effect.tryPromise({
    try: async () => {
      const migrator = new Migrator({ db: database, provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) } })
      const { error, results } = await migrator.migrateToLatest()
      if (error !== undefined) throw error
      return (results ?? []).filter((result) => result.status === "Success").map((result) => result.migrationName)
    },
    catch: (cause) => new LedgerUnavailable({ doing: "migrate the database", cause })
  })
