/** What the entrypoint of the PostgreSQL image does with the compose file's words: a server with this user, password and database, started
 * with the command's settings. The server itself is the one from npm. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import pg from "pg"
import { type PostgresServer, startPostgres } from "../../src/adapters/embedded/postgres-server.ts"
import type { PostgresServerFailed } from "../../src/adapters/embedded/postgres-binaries.ts"
import type { Plan } from "./as-processes.ts"

/** The only one that the embedded server makes. */
const USER = "portcullis"

/** `-c name=value`, as PostgreSQL reads it. */
export const postgresSettings = (words: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    words.flatMap((word, index) => (words[index - 1] === "-c" ? [[word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)] as const] : []))
  )

/** Its directory, the first of the plan, must be there. */
export const startPostgresService = ({ service, address, words, environment, directories }: Plan): Effect.Effect<PostgresServer, PostgresServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const [directory = ""] = directories
    const { POSTGRES_USER: user, POSTGRES_PASSWORD: password = "", POSTGRES_DB: database = USER } = environment
    if (user !== USER) throw new TypeError(`${service.name}: as a process its user is called ${USER}, and the compose file says ${user}`)
    writeFileSync(join(directory, "password"), password, { mode: 0o600 })
    const listen = { tcpPort: service.ports[0] ?? 5432, host: address }
    const server = yield* startPostgres({ directory, settings: postgresSettings(words), listen })
    yield* Effect.promise(() => makeDatabase(server, database))
    return { ...server, address: { ...server.address, database } }
  })

const makeDatabase = async (server: PostgresServer, database: string): Promise<void> => {
  const client = new pg.Client(server.address)
  await client.connect()
  try {
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [database])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)}`)
  } finally {
    await client.end()
  }
}
