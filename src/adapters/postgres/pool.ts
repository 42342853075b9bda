/**
 * The connections to PostgreSQL: bounded, with a time limit on everything on both sides, closed with their scope. A lost
 * connection or a stopped server is `LedgerUnavailable` to whoever asked, and the next question opens a new connection: nothing
 * has to be restarted.
 */
import { Context, Effect, Layer, Schedule } from "effect"
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from "kysely"
import pg from "pg"
import { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import { type CallFault, type Guards, guardsHere } from "../../resilience/guards.ts"
import type { Tables } from "./tables.ts"
import { wireTypes } from "./wire-types.ts"

/** Statements take milliseconds; one that takes this long waits for a lock or a dying disk, and is better asked again. */
const STATEMENT_MS_MAX = 10_000
const LOCK_WAIT_MS_MAX = 5_000
/** A migration may write years of history again. It is one of few, begun on purpose, and keep-alives notice a dead connection meanwhile. */
const MIGRATION_MS_MAX = 4 * 3_600_000
/** A transaction of ours never waits for anything but the database. */
const IDLE_IN_TRANSACTION_MS_MAX = 5_000
/** Longer than the server's own limit: it only ends questions whose connection has silently died. */
const ANSWER_MS_MAX = 12_000
const CONNECT_MS_MAX = 5_000
const KEEP_ALIVE_AFTER_MS = 10_000
/** Two full writers, readers, and the sweeper. More connections only queue inside the server. */
const CONNECTIONS_MAX = 10
/** Serialization failures and deadlocks are the database's way of asking for another try. */
const CONFLICT_RETRIES_MAX = 8
const CONFLICT_PAUSE = Schedule.exponential("5 millis").pipe(Schedule.jittered)

export interface DatabaseSettings {
  /** Where it is: a URL (postgres://user:password@host:port/name) or its parts. */
  readonly connection:
    | { readonly url: string }
    | {
        readonly host: string
        readonly port: number
        readonly user: string
        readonly database: string
        readonly password?: string
      }
  /** Shown in pg_stat_activity. */
  readonly applicationName: string
  readonly connectionsMax?: number
  /** For whoever must know soon: no wait of its (for a connection, a lock, an answer) takes longer. */
  readonly waitMsMax?: number
}

/** A statement that the server prepares once for each connection. */
export interface Prepared {
  readonly name: string
  readonly text: string
  /** Sent even while the database is believed to be down: what a lease loses by waiting is worse than one more failure. */
  readonly isVital?: true
}

export class Database extends Context.Service<
  Database,
  {
    /** One prepared statement, its own transaction. */
    readonly run: <Row>(
      doing: string,
      statement: Prepared,
      values: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<Row>, LedgerUnavailable>
    /** Questions that are asked rarely, in kysely's words. */
    readonly ask: <A>(doing: string, question: (kysely: Kysely<Tables>) => Promise<A>) => Effect.Effect<A, LedgerUnavailable>
    /** Several statements, all or nothing; repeated from the start after a conflict. `work` must not have other effects. */
    readonly transact: <A>(doing: string, work: (client: pg.PoolClient) => Promise<A>) => Effect.Effect<A, LedgerUnavailable>
    readonly kysely: Kysely<Tables>
    /** For migrations: the same connections, with hours for an answer. The server's own limit is for each migration to raise. */
    readonly patient: Kysely<Tables>
  }
>()("portcullis/adapters/postgres/Database") {}

/** SQLSTATE of an answer from the server; undefined when there was no answer. PostgreSQL manual, appendix A. */
export const sqlState = (error: LedgerUnavailable): string | undefined =>
  error.cause instanceof pg.DatabaseError ? error.cause.code : undefined

export const UNIQUE_VIOLATION = "23505"

const isConflict = (error: LedgerUnavailable): boolean => ["40001", "40P01"].includes(sqlState(error) ?? "")

/**
 * The server read the statement and rolled it back because of what it says: classes 22 (data), 23 (constraints) and 54 (limits).
 */
export const isRefusal = (error: LedgerUnavailable): boolean => /^(?:22|23|54)/.test(sqlState(error) ?? "")

/** What the server says about itself: resources, operator intervention, system (53, 57P, 58); or no answer at all. */
export const isOutage = (error: LedgerUnavailable): boolean => {
  const state = sqlState(error)
  return state === undefined || /^(?:53|57P|58)/.test(state)
}

/** A conflict is an answer: its repetitions are the database's own wish and cost the retry budget nothing. */
const guarded =
  (guards: Guards["Service"]) =>
  <A>(doing: string, work: () => Promise<A>, isVital = false): Effect.Effect<A, LedgerUnavailable> =>
    Effect.tryPromise({ try: work, catch: (cause) => new LedgerUnavailable({ doing, cause }) }).pipe(
      guards.guard({
        dependency: "postgres",
        target: "ledger",
        method: "statement",
        isVital,
        isOutage,
        unavailable: (fault: CallFault) => new LedgerUnavailable({ doing, cause: fault })
      }),
      Effect.retry({ while: isConflict, times: CONFLICT_RETRIES_MAX, schedule: CONFLICT_PAUSE })
    )

/**
 * Statements of ours find their rows by key. Plans are made once, also while a table is empty that is full later: reading it whole never looks
 * cheap (request-statements.ts). `jit` would spend longer than they take.
 */
export const SESSION_SETTINGS = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"

/** The pool listens to idle connections only: one that dies within a transaction, between two statements, would end the process. The next statement
 * says so. */
const prepareSession = async (client: pg.ClientBase): Promise<void> => {
  client.on("error", () => undefined)
  await client.query(SESSION_SETTINGS)
}

const inTransaction = async <A>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<A>): Promise<A> => {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query("BEGIN")
    const answer = await work(client)
    await client.query("COMMIT")
    return answer
  } catch (cause) {
    await client.query("ROLLBACK").catch((lost: Error) => {
      broken = lost
    })
    throw cause
  } finally {
    client.release(broken)
  }
}

/** What pg understands and its types do not name. */
interface TimedQuery extends pg.QueryConfig<Array<unknown>> {
  readonly query_timeout: number
}

const patientWith = (pool: pg.Pool): PostgresPool => ({
  connect: async () => {
    const client = await pool.connect()
    const query = (text: string, values: ReadonlyArray<unknown>) => {
      const asked: TimedQuery = { text, values: [...values], query_timeout: MIGRATION_MS_MAX }
      return client.query(asked)
    }
    // Without cursors, which nobody asks for here.
    return { query: query as unknown as PostgresPoolClient["query"], release: (destroy) => client.release(destroy) }
  },
  end: () => Promise.resolve(),
  options: pool.options
})

export const databaseLayer = (settings: DatabaseSettings): Layer.Layer<Database> =>
  Layer.effect(
    Database,
    Effect.gen(function*() {
      const { connection, waitMsMax = Number.POSITIVE_INFINITY } = settings
      const atMost = (ms: number): number => Math.min(ms, waitMsMax)
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const made = new pg.Pool({
            ...("url" in connection ? { connectionString: connection.url } : connection),
            types: wireTypes,
            application_name: settings.applicationName,
            max: settings.connectionsMax ?? CONNECTIONS_MAX,
            connectionTimeoutMillis: atMost(CONNECT_MS_MAX),
            statement_timeout: atMost(STATEMENT_MS_MAX),
            lock_timeout: atMost(LOCK_WAIT_MS_MAX),
            idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX,
            query_timeout: atMost(ANSWER_MS_MAX),
            keepAlive: true,
            keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
            onConnect: prepareSession
          })
          // Without a listener an idle connection that dies would end the process. The pool drops it by itself.
          made.on("error", () => undefined)
          return made
        }),
        (made) => Effect.promise(() => made.end())
      )
      const send = guarded(yield* guardsHere)
      const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
      return Database.of({
        kysely,
        patient: new Kysely<Tables>({ dialect: new PostgresDialect({ pool: patientWith(pool) }) }),
        run: <Row>(doing: string, statement: Prepared, values: ReadonlyArray<unknown>) =>
          send(
            doing,
            () => pool.query({ name: statement.name, text: statement.text, values: [...values] }),
            statement.isVital
          ).pipe(Effect.map((answer) => answer.rows as ReadonlyArray<Row>)),
        ask: (doing, question) => send(doing, () => question(kysely)),
        transact: (doing, work) => send(doing, () => inTransaction(pool, work))
      })
    })
  )
