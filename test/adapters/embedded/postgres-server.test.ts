import { Effect, Exit, Scope } from "effect"
import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import pg from "pg"
import { test } from "vitest"
import { type PostgresServer, type PostgresServerOptions, startPostgres } from "../../../src/adapters/embedded/postgres-server.ts"
import { eventually } from "../../support/eventually.ts"
import { postgresVersions } from "../../support/postgres.ts"

const binaries = postgresVersions[0]?.binaries
const start = (options: PostgresServerOptions = {}) => startPostgres(binaries === undefined ? options : { binaries, ...options })

const ask = async (server: PostgresServer, text: string, address: object = {}) => {
  const client = new pg.Client({ ...server.address, ...address })
  client.on("error", () => undefined)
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const withDirectory = async (use: (directory: string) => Promise<void>) => {
  const directory = mkdtempSync(join(tmpdir(), "portcullis-test-server-"))
  try {
    await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const scoped = <A>(program: Effect.Effect<A, unknown, Scope.Scope>) => Effect.runPromise(Effect.scoped(program))

test("runs on a private socket and leaves nothing behind", async () => {
  let directories: ReadonlyArray<string> = []
  await scoped(Effect.gen(function*() {
    const server = yield* start()
    directories = [server.address.host, dirname(server.logFile)]
    for (const directory of directories) assert.equal(statSync(directory).mode & 0o077, 0)
    assert.deepEqual(yield* Effect.promise(() => ask(server, "SHOW listen_addresses")), [{ listen_addresses: "" }])
  }))
  for (const directory of directories) assert(!existsSync(directory))
})

test("asks for its password on TCP, and listens on this machine only", async () => {
  await scoped(Effect.gen(function*() {
    const server = yield* start({ listen: { tcpPort: "free" } })
    assert.equal(server.address.host, "127.0.0.1")
    assert.deepEqual(yield* Effect.promise(() => ask(server, "SHOW listen_addresses")), [{ listen_addresses: "127.0.0.1" }])
    yield* Effect.promise(() => assert.rejects(ask(server, "SELECT 1", { password: "guess" }), { code: "28P01" }))
  }))
})

test("keeps its data and its password in a directory of the user's", async () => {
  await withDirectory(async (directory) => {
    const passwords: Array<string | undefined> = []
    for (const expected of [[], [{ n: 1 }]]) {
      await scoped(Effect.gen(function*() {
        const server = yield* start({ directory, listen: { tcpPort: "free" } })
        passwords.push(server.address.password)
        yield* Effect.promise(() => ask(server, "CREATE TABLE IF NOT EXISTS kept (n integer)"))
        assert.deepEqual(yield* Effect.promise(() => ask(server, "SELECT n FROM kept")), expected)
        yield* Effect.promise(() => ask(server, "INSERT INTO kept VALUES (1)"))
      }))
    }
    assert.equal(passwords[0], passwords[1])
    assert.equal(statSync(join(directory, "password")).mode & 0o077, 0)
  })
})

test("comes back on the same address after every kind of stop", async () => {
  await scoped(Effect.gen(function*() {
    const server = yield* start()
    yield* Effect.promise(() => ask(server, "CREATE TABLE kept (n integer)"))
    for (const stop of [server.stop("fast"), server.stop("immediate"), server.kill]) {
      yield* Effect.promise(() => ask(server, "INSERT INTO kept VALUES (1)"))
      yield* stop
      assert(!server.isRunning())
      yield* Effect.promise(() => assert.rejects(ask(server, "SELECT 1")))
      yield* server.start
      yield* server.start
    }
    assert.deepEqual(yield* Effect.promise(() => ask(server, "SELECT count(*)::integer AS n FROM kept")), [{ n: 3 }])
  }))
})

test("says what to do when there are no programs, and when the data belong to another version", async () => {
  await withDirectory(async (directory) => {
    const missing = await scoped(Effect.flip(startPostgres({ binaries: directory })))
    assert.match(missing.message, /No PostgreSQL server programs in .*npm ci/)
    await scoped(start({ directory }))
    const versionFile = join(directory, "data", "PG_VERSION")
    assert.match(readFileSync(versionFile, "utf8"), /^\d+\n$/)
    writeFileSync(versionFile, "9\n")
    const other = await scoped(Effect.flip(start({ directory })))
    assert.match(other.message, /belongs to PostgreSQL 9.*Name the programs of the old version/)
  })
})

test("never touches a server on the same data that somebody else has started", async () => {
  await withDirectory(async (directory) => {
    const scope = Scope.makeUnsafe()
    const first = await Effect.runPromise(start({ directory }).pipe(Scope.provide(scope)))
    const second = await scoped(Effect.flip(startPostgres({ ...(binaries === undefined ? {} : { binaries }), directory, startMsMax: 2_000 })))
    assert.match(second.message, /Another server may still use/)
    assert(first.isRunning())
    assert.deepEqual(await ask(first, "SELECT 1 AS one"), [{ one: 1 }])
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await eventually("the first has stopped", () => !first.isRunning())
  })
})
