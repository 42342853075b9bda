/** The database as an operator meets it: migrations, plans with many finished requests, lost connections, hung statements. */
import { Effect, Layer, Logger, ManagedRuntime, Result } from "effect"
import { sql } from "kysely"
import assert from "node:assert/strict"
import pg from "pg"
import { afterAll, beforeAll, describe, test } from "vitest"
import { auditLedgerLayer, PAGE, RECENT, REQUESTS } from "../../../src/adapters/postgres/audit-ledger.layer.ts"
import { awaitServer } from "../../../src/adapters/postgres/await-server.ts"
import { BuildsApart } from "../../../src/adapters/postgres/builds-apart.ts"
import { leasesLayer } from "../../../src/adapters/postgres/leases.layer.ts"
import { migrate, MIGRATIONS, type Migrations } from "../../../src/adapters/postgres/migrate.ts"
import { Database, databaseLayer, type Prepared, sqlState } from "../../../src/adapters/postgres/pool.ts"
import { requestLedgerLayer } from "../../../src/adapters/postgres/request-ledger.layer.ts"
import { summaries } from "../../../src/adapters/postgres/request-overview.ts"
import * as statements from "../../../src/adapters/postgres/request-statements.ts"
import { SAVE, saveValues } from "../../../src/adapters/postgres/save-statement.ts"
import { byteaOfHex } from "../../../src/adapters/postgres/wire-types.ts"
import type { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { type Beat, Cluster } from "../../../src/ledger/cluster.port.ts"
import { AuditLedger } from "../../../src/ledger/audit-ledger.port.ts"
import { verifyHistory } from "../../../src/ledger/hash-chain.ts"
import { RequestLedger } from "../../../src/ledger/request-ledger.port.ts"
import { bearAsBefore, decideAsBefore } from "../../support/build-before-numbers.ts"
import { aChange, born, type LedgerWorld, openLedgerWorld, ownPartition } from "../../support/ledger-world.ts"
import { eventually } from "../../support/eventually.ts"
import { postgresVersions } from "../../support/postgres.ts"

const reasonOf = (result: Result.Result<unknown, BuildsApart | LedgerUnavailable>): string => {
  assert(Result.isFailure(result) && result.failure instanceof BuildsApart)
  return result.failure.message
}

for (const version of postgresVersions) {
  describe(`the database on ${version.name}`, () => {
    let world: LedgerWorld
    beforeAll(async () => {
      world = await openLedgerWorld(version)
    })
    afterAll(() => world?.close())

    const open = () => {
      const layer = databaseLayer({ connection: world.server.address, applicationName: "portcullis-database-test", connectionsMax: 2 })
      const runtime = ManagedRuntime.make(layer)
      return { [Symbol.asyncDispose]: () => runtime.dispose(), run: runtime.runPromise.bind(runtime) as typeof runtime.runPromise }
    }

    test("is migrated once, whoever starts at the same time, and a second time is nothing, nor after a newer build", async () => {
      await using database = open()
      const fresh = await database.run(
        Effect.flatMap(Database, ({ kysely }) =>
          Effect.gen(function*() {
            yield* Effect.promise(() => sql`CREATE DATABASE empty`.execute(kysely))
            const layer = databaseLayer({
              connection: { ...world.server.address, database: "empty" },
              applicationName: "migrating",
              connectionsMax: 1
            })
            const each = Effect.flatMap(Database, (one) => migrate(one.patient)).pipe(Effect.provide(Layer.fresh(layer)))
            const together = yield* Effect.all([each, each, each], { concurrency: "unbounded" })
            const later = yield* each
            const newer = sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-of-a-newer-build', '2099-01-01T00:00:00Z')`
            yield* Effect.flatMap(Database, (one) => Effect.promise(() => newer.execute(one.kysely))).pipe(Effect.provide(Layer.fresh(layer)))
            return { together, later, besideANewerBuild: yield* each }
          }))
      )
      assert.deepEqual(fresh.together.flat(), [
        ...["0001-the-ledger", "0002-cluster", "0005-lanes", "0006-work", "0007-timeline"],
        ...["0009-parts", "0010-one-chain", "0011-rewinds", "0013-lane-history", "0014-turns", "0015-numbers"]
      ])
      assert.deepEqual(fresh.later, [])
      assert.deepEqual(fresh.besideANewerBuild, [])
    })

    test("is not brought by a build to where nodes of an older one cannot follow while they live, and those do not start there again", async () => {
      await using database = open()
      await world.query("CREATE DATABASE apart")
      const layer = databaseLayer({ connection: { ...world.server.address, database: "apart" }, applicationName: "apart", connectionsMax: 1 })
      const there = <A, E>(use: (kysely: Database["Service"]["kysely"]) => Effect.Effect<A, E>) =>
        database.run(Effect.flatMap(Database, ({ kysely }) => use(kysely)).pipe(Effect.provide(Layer.fresh(layer))))
      const query = (text: string) => there((kysely) => Effect.promise(() => sql.raw(text).execute(kysely)))
      const newer: Migrations = { ...MIGRATIONS, "9998-other-keys-needs-a-stop": { up: async () => {} } }
      const upgrade = () => there((kysely) => Effect.result(migrate(kysely, newer)))
      await there((kysely) => migrate(kysely))
      await query(
        `INSERT INTO gateway_node (worker, name, version, roles, machine_versions, state, started_at, beat_at)
         VALUES ('a-1', 'a', '1', '{}', '{1}', 'working', now(), now() + interval '1 hour'), ('dead-1', 'dead', '1', '{}', '{1}', 'working', now(), now() - interval '11 s')`
      )
      await query("INSERT INTO lease (name, owner, epoch, until) VALUES ('partition/1', 'b-1', 1, now() + interval '1 hour')")
      assert.match(reasonOf(await upgrade()), /^the migration 9998-other-keys-needs-a-stop waits until .* and these do: a-1, b-1: drain all of them/)
      await query("UPDATE gateway_node SET state = 'gone'")
      assert.match(reasonOf(await upgrade()), /and these do: b-1:/)
      await query("UPDATE lease SET owner = NULL")
      assert.deepEqual(Result.getOrThrow(await upgrade()), ["9998-other-keys-needs-a-stop"])
      assert.match(reasonOf(await there((kysely) => Effect.result(migrate(kysely)))), /^this build is older than its database, .* start the newer build$/)
    })

    test("gives requests numbers and keeps every history, whichever of the two builds wrote it", async () => {
      await world.query("CREATE DATABASE unnumbered")
      const address = { ...world.server.address, database: "unnumbered" }
      const layer = Layer.mergeAll(requestLedgerLayer, auditLedgerLayer, leasesLayer).pipe(
        Layer.provideMerge(databaseLayer({ connection: address, applicationName: "numbering", connectionsMax: 2 }))
      )
      const runtime = ManagedRuntime.make(layer)
      const before = new pg.Client(address)
      await before.connect()
      try {
        const query = (text: string, values: ReadonlyArray<unknown> = []) => before.query(text, [...values])
        const { patient } = await runtime.runPromise(Database)
        const known = Object.fromEntries(Object.entries(MIGRATIONS).filter(([name]) => name < "0015"))
        await runtime.runPromise(migrate(patient, known))
        const old = await bearAsBefore(query, 30, 3)
        await decideAsBefore(query, old, 2, "detected", "acl-checked")
        await decideAsBefore(query, old.slice(0, 10), 3, "acl-checked", "refused")
        const untouched = await query("SELECT md5(string_agg(t::text, ',' ORDER BY request_id, seq)) AS all FROM transition t")

        assert.deepEqual(await runtime.runPromise(migrate(patient)), ["0015-numbers"])
        const same = await query(
          `SELECT md5(string_agg(row(request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)::text, ',' ORDER BY request_id, seq))
             AS all FROM transition`
        )
        assert.deepEqual(same.rows, untouched.rows)

        const beside = await bearAsBefore(query, 10, 3)
        await decideAsBefore(query, beside, 2, "detected", "acl-checked")
        await decideAsBefore(query, old.slice(15, 20), 3, "acl-checked", "refused")
        const program = Effect.gen(function*() {
          const ledger = yield* RequestLedger
          const lease = yield* ownPartition(3, "owner")
          const stored = yield* ledger.load([...old.slice(20), ...beside])
          const saved = yield* ledger.save(stored.map((one) => aChange(one, lease, { to: "ciphertext-fetched" })), "w")
          assert(saved.every(({ type }) => type === "saved"))
          for (const { stored: request, history } of yield* (yield* AuditLedger).requests([...old, ...beside])) {
            assert.equal(history.length, request.version)
            assert.deepEqual(verifyHistory(request.id, history, request.chainTail), { type: "intact" })
            assert.deepEqual(yield* ledger.history(request.id), history)
          }
          const refused = yield* ledger.list({ state: "refused", limit: 100 })
          assert.deepEqual(new Set(refused.map(({ id }) => id)), new Set([...old.slice(0, 10), ...old.slice(15, 20)]))
        })
        await runtime.runPromise(program)

        const numbered = await query("SELECT count(*)::integer AS n, count(DISTINCT number)::integer AS numbers FROM request")
        assert.deepEqual(numbered.rows, [{ n: 40, numbers: 40 }])
        await assert.rejects(query("UPDATE transition SET request_number = 0"), /append-only/)
        await assert.rejects(query("UPDATE request SET number = 0"), { code: "428C9" })
      } finally {
        await before.end()
        await runtime.dispose()
      }
    })

    test("lets a migration take longer than any other statement may, on both sides", async () => {
      const layer = databaseLayer({ connection: world.server.address, applicationName: "patient", waitMsMax: 200 })
      const runtime = ManagedRuntime.make(layer)
      try {
        const { kysely, patient } = await runtime.runPromise(Database)
        const long = (asker: typeof kysely) =>
          asker.transaction().execute(async (transaction) => {
            await sql`SET LOCAL statement_timeout = '1min'`.execute(transaction)
            await sql`SELECT pg_sleep(0.3)`.execute(transaction)
          })
        await assert.rejects(long(kysely), /timeout/)
        // Connecting has the same limit, which a busy machine may miss.
        await eventually("a transaction outlives the limit", () => long(patient).then(() => true, () => undefined))
      } finally {
        await runtime.dispose()
      }
    })

    test("explains its tables to whoever looks", async () => {
      const rows = await world.query(
        `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname NOT LIKE 'kysely%' AND obj_description(c.oid) IS NULL`
      )
      assert.deepEqual(rows, [])
      assert((await world.query("SELECT FROM pg_class WHERE relname = 'transition'")).length === 1)
    })

    test("finds rows by key when most requests have ended: no hot statement scans a table", async () => {
      const FINISHED = 20_000
      await world.query(
        `INSERT INTO request SELECT sha256(int8send(i)), 1, '\\x00', 'public', '\\x00', '\\x00', 1, 0, 0, '\\x00', '{}', '\\x', i % 8,
           now() - interval '1 day', 'finalized', 1, 1, '{}', sha256('x'), now(), 1, '\\x00', 1 FROM generate_series(1, $1::bigint) AS i`,
        [FINISHED]
      )
      await world.query(
        `INSERT INTO transition (request_number, request_id, seq, from_state, to_state, event, at, worker, lease_epoch, hash)
         SELECT r.number, r.request_id, 1, NULL, 'finalized', '{}', now(), 'x', 1, sha256('x')
         FROM generate_series(1, $1::bigint) AS i JOIN request r ON r.request_id = sha256(int8send(i))`,
        [FINISHED]
      )
      await world.query("ANALYZE")
      const [requests, lease] = await world.run(Effect.all([born(100, { partition: 3 }), ownPartition(3, "owner")]))
      const ids = requests.map(({ id }) => byteaOfHex(id))
      const changes = requests.map((request) => ({ change: aChange(request, lease), worker: "w" }))
      const asked: ReadonlyArray<readonly [Prepared, ReadonlyArray<unknown>]> = [
        [SAVE, saveValues(changes)],
        [statements.LOAD, [ids]],
        [statements.POSTPONE, [ids, ids.map(() => 1), ids.map(() => 1_000), ids.map(() => "later")]],
        [statements.CLAIM_OVERDUE, [[3], 100, 1_000, [1], ["acl-checked"]]],
        [statements.SIGNAL, [ids[0], "position", "{}"]],
        [statements.HISTORY, [ids[0]]],
        [REQUESTS, [ids]],
        [RECENT, [10]],
        [PAGE, ["\\x", 500]]
      ]
      await using database = open()
      const { kysely } = await database.run(Effect.map(Database, (one) => one))
      const listed = ([undefined, "finalized", "detected"] as const).map((state) => ({ state, asked: summaries(state, 20).compile(kysely) }))
      const lists = listed.map(({ state, asked: { sql: text, parameters } }) => [{ name: `list-${state}`, text }, parameters] as const)
      for (const [{ name, text }, values] of [...asked, ...lists]) {
        const rows = await database.run(
          Effect.flatMap(Database, (one) =>
            one.run<Record<string, string>>("explain", { name: `explain-${name}`, text: `EXPLAIN ${text}` }, values))
        )
        const plan = rows.map((row) => row["QUERY PLAN"]).join("\n")
        assert.doesNotMatch(plan, /Seq Scan on (?:request|transition)\b/, `${name}\n${plan}`)
      }
    })

    test("keeps updates of requests heap-only", async () => {
      const busy = world.another()
      await busy.run(
        Effect.gen(function*() {
          const lease = yield* ownPartition(5, "owner")
          const ledger = yield* RequestLedger
          let requests = yield* born(50, { partition: 5 })
          for (let round = 0; round < 20; round += 1) {
            yield* ledger.save(requests.map((request) => aChange(request, lease)), "w")
            requests = [...(yield* ledger.load(requests.map(({ id }) => id)))]
          }
        })
      )
      await busy.close() // a session reports its numbers when it ends
      const row = await eventually("the server has counted the updates", async () => {
        const [now] = await world.query(
          "SELECT n_tup_upd::integer AS n, n_tup_hot_upd::integer AS hot FROM pg_stat_user_tables WHERE relname = 'request'"
        )
        return now !== undefined && (now["n"] as number) >= 1_000 ? now : undefined
      })
      const ratio = (row["hot"] as number) / (row["n"] as number)
      assert(ratio > 0.7, `only ${ratio} of the updates were heap-only`)
    })

    test("says that it is unavailable while the server is away, and works again by itself when it is back", async () => {
      await using database = open()
      const one = Effect.flatMap(Database, (opened) => opened.run<{ one: number }>("ask", { name: "one", text: "SELECT 1 AS one" }, []))
      assert.deepEqual(await database.run(one), [{ one: 1 }])
      await Effect.runPromise(world.server.stop("immediate"))
      const failure = await database.run(Effect.flip(one))
      assert.deepEqual([failure._tag, failure.fate, failure.doing], ["LedgerUnavailable", "retry", "ask"])
      await Effect.runPromise(world.server.start)
      assert.deepEqual(await database.run(one), [{ one: 1 }])
    })

    test("is waited for when it is not there yet, and that is said; what waiting cannot change fails at once", async () => {
      await using database = open()
      const said: Array<string> = []
      const heard = Logger.layer([Logger.make(({ message }) => void said.push(String(Array.isArray(message) ? message[0] : message)))])
      await Effect.runPromise(world.server.stop("immediate"))
      const waiting = database.run(Effect.flatMap(Database, ({ kysely }) => awaitServer(kysely)).pipe(Effect.provide(heard)))
      await eventually("it waits", () => said.length > 0)
      await Effect.runPromise(world.server.start)
      await waiting
      assert.deepEqual([...new Set(said)], ["the database cannot be reached yet; waiting for it"]) // again and again, should that take long
      const absent = databaseLayer({ connection: { ...world.server.address, database: "absent" }, applicationName: "lost" })
      const failure = await Effect.runPromise(
        Effect.flatMap(Database, ({ kysely }) => Effect.flip(awaitServer(kysely))).pipe(Effect.provide(absent))
      )
      assert.equal(sqlState(failure), "3D000")
    })

    test("forgets beats in a crash, and hears them again; what operators have paused stays paused", async () => {
      const life: Beat = { ...{ worker: "a-1", name: "a", version: "1", roles: ["api"], machineVersions: [1] }, state: "working", uptimeMs: 1, done: {} }
      const nodes = Effect.map(Cluster.use((cluster) => cluster.nodes), (all) => all.map(({ worker }) => worker))
      const beat = Cluster.use((cluster) => cluster.beat(life))
      await world.run(beat)
      await world.run(Cluster.use((cluster) => cluster.pause("step:acl-checked", "me", "a test")))
      await Effect.runPromise(world.server.stop("immediate"))
      await Effect.runPromise(world.server.start)
      assert.deepEqual(await world.run(nodes), [])
      assert.deepEqual((await world.run(beat)).pauses.map(({ target }) => target), ["step:acl-checked"])
      assert.deepEqual(await world.run(nodes), ["a-1"])
    })

    test("calls nobody alive who has been silent for too long, and forgets who has been gone for an hour", async () => {
      const beat = (worker: string): Beat => ({ ...{ worker, name: "n", version: "1", machineVersions: [1] }, roles: ["api"], state: "working", uptimeMs: 1, done: {} })
      const others = Effect.map(Cluster.use((cluster) => cluster.beat(beat("here"))), (heard) => heard.others.length)
      const before = await world.run(others)
      await world.run(Cluster.use((cluster) => cluster.beat(beat("silent"))))
      assert.equal(await world.run(others), before + 1)
      await world.query("UPDATE gateway_node SET beat_at = now() - interval '11 seconds' WHERE worker = 'silent'")
      assert.equal(await world.run(others), before)
      const silent = (await world.run(Cluster.use((cluster) => cluster.nodes))).find(({ worker }) => worker === "silent")
      assert(silent !== undefined && silent.silentMs >= 11_000 && silent.silentMs < 60_000)
      await world.query("UPDATE gateway_node SET beat_at = now() - interval '61 minutes' WHERE worker = 'silent'")
      await world.run(Cluster.use((cluster) => cluster.leave("here", "drained")))
      assert.deepEqual(await world.query("SELECT 1 FROM gateway_node WHERE worker = 'silent'"), [])
    })

    test("loses a connection that somebody terminates, and nothing else", async () => {
      await using database = open()
      const pid = Effect.flatMap(Database, (opened) =>
        opened.run<{ pid: number }>("ask", { name: "pid", text: "SELECT pg_backend_pid() AS pid" }, []))
      const [first] = await database.run(pid)
      await world.query("SELECT pg_terminate_backend($1)", [first?.pid])
      const answers = await database.run(Effect.all([Effect.result(pid), Effect.result(pid), Effect.result(pid)]))
      const last = answers.at(-1)
      assert(last?._tag === "Success" && last.success[0]?.pid !== first?.pid)
    })

    test("loses a connection in the middle of a transaction, and the process goes on", async () => {
      await using database = open()
      const failure = await database.run(
        Database.use((one) =>
          one.transact("be terminated", async (client) => {
            const { rows } = await client.query<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid")
            const terminated = new Promise((resolve) => client.once("end", resolve))
            await world.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid])
            // Nobody asks anything at this moment: the loss is nobody's answer.
            await terminated
            await client.query("SELECT 1")
          })
        ).pipe(Effect.flip)
      )
      assert.equal(failure._tag, "LedgerUnavailable")
      assert.deepEqual(await database.run(Database.use((one) => one.run("ask again", { name: "one", text: "SELECT 1 AS n" }, []))), [{ n: 1 }])
    })

    test("repeats a transaction that deadlocked, and both get through", async () => {
      await world.query("CREATE TABLE pair (id integer PRIMARY KEY, n integer)")
      await world.query("INSERT INTO pair VALUES (1, 0), (2, 0)")
      await using database = open()
      const both = (first: number, second: number) =>
        Effect.flatMap(Database, (opened) =>
          opened.transact("cross", async (client) => {
            await client.query("UPDATE pair SET n = n + 1 WHERE id = $1", [first])
            await client.query("SELECT pg_sleep(0.2)")
            await client.query("UPDATE pair SET n = n + 1 WHERE id = $1", [second])
          }))
      await database.run(Effect.all([both(1, 2), both(2, 1)], { concurrency: 2 }))
      assert.deepEqual(await world.query("SELECT n FROM pair"), [{ n: 2 }, { n: 2 }])
    })

    test("refuses a bad statement with the server's code, and its connection stays good", async () => {
      await using database = open()
      const bad = Effect.flatMap(Database, (opened) => opened.run("divide", { name: "bad", text: "SELECT 1 / $1::integer" }, [0]))
      assert.equal(sqlState(await database.run(Effect.flip(bad))), "22012")
      await assert.rejects(database.run(bad))
    })
  })
}
