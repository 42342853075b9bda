/** A second PostgreSQL that hears everything the first one writes, asynchronously; it can be made deaf, so that it lacks the last commits, and be
 * promoted. It is made without pg_basebackup, which the npm package does not bring: from a copy of the stopped primary's directory. */
import { appendFile, cp, mkdir, readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { Effect, type Scope } from "effect"
import pg from "pg"
import { findBinaries, findRunAs, handOver, type PostgresServerFailed } from "../../src/adapters/embedded/postgres-binaries.ts"
import { type PostgresAddress, type PostgresServer, startPostgres } from "../../src/adapters/embedded/postgres-server.ts"

const ANSWER_MS_MAX = 10_000
const LOOK_AGAIN_MS = 50
const PROMOTE_SECONDS_MAX = 30

/** On any database server, behind everybody's back. */
export const asked = async <Row extends pg.QueryResultRow>(address: PostgresAddress, text: string): Promise<ReadonlyArray<Row>> => {
  const client = new pg.Client({ ...address, application_name: "chaos", connectionTimeoutMillis: ANSWER_MS_MAX })
  client.on("error", () => undefined)
  try {
    await client.connect()
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

export interface Standby {
  readonly server: PostgresServer
  /** Has replayed everything that the primary has written by now. */
  readonly caughtUp: () => Promise<void>
  /** From now on it hears nothing of what is committed. */
  readonly deafen: () => Promise<void>
  /** Answers when it takes writes: another timeline has begun. */
  readonly promote: () => Promise<void>
}

export interface StandbyOptions {
  readonly primary: PostgresServer
  /** The folder that the primary was started with. */
  readonly primaryDirectory: string
  /** An empty one. */
  readonly directory: string
  readonly settings?: Readonly<Record<string, string>>
}

/** The primary is stopped and started once meanwhile. */
export const startStandby = (options: StandbyOptions): Effect.Effect<Standby, PostgresServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { primary, primaryDirectory, directory, settings = {} } = options
    const { host, port, user, password } = primary.address
    const as = yield* findRunAs(yield* findBinaries())
    yield* primary.stop("fast")
    yield* Effect.promise(async () => {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await cp(primaryDirectory, directory, { recursive: true })
      const data = join(directory, "data")
      await writeFile(join(data, "standby.signal"), "")
      const way = `host=${host} port=${port} user=${user}${password === undefined ? "" : ` password=${password}`}`
      await appendFile(join(data, "postgresql.auto.conf"), `\nprimary_conninfo = '${way}'\n`)
      for (const entry of ["", ...(await readdir(directory, { recursive: true }))]) await handOver(join(directory, entry), as)
    })
    yield* primary.start
    const server = yield* startPostgres({ directory, listen: { tcpPort: "free" }, settings: { hot_standby: "on", ...settings } })
    const until = async (text: string) => {
      while (!(await asked<{ yes: boolean }>(server.address, text))[0]?.yes) await pause(LOOK_AGAIN_MS)
    }
    return {
      server,
      caughtUp: async () => {
        const [row] = await asked<{ lsn: string }>(primary.address, "SELECT pg_current_wal_lsn()::text AS lsn")
        await until(`SELECT pg_last_wal_replay_lsn() >= '${row!.lsn}'::pg_lsn AS yes`)
      },
      deafen: async () => {
        await asked(server.address, "ALTER SYSTEM SET primary_conninfo = ''")
        await asked(server.address, "SELECT pg_reload_conf()")
        await until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver) AS yes")
      },
      promote: async () => {
        await asked(server.address, `SELECT pg_promote(true, ${PROMOTE_SECONDS_MAX})`)
        await until("SELECT NOT pg_is_in_recovery() AS yes")
      }
    }
  })
