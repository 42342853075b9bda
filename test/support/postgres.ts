/**
 * A PostgreSQL server for a test file: the npm one or that of PG_BIN, started on a copy of a data directory that is initialised
 * once for each version. Law suites also run on PostgreSQL 15, where PG_BIN15 or Debian's package has it.
 */
import { Effect, type Scope } from "effect"
import { createHash } from "node:crypto"
import { existsSync, statSync } from "node:fs"
import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { findBinaries, type PostgresServerFailed } from "../../src/adapters/embedded/postgres-binaries.ts"
import { type PostgresServer, startPostgres } from "../../src/adapters/embedded/postgres-server.ts"

const DEBIAN_15 = "/usr/lib/postgresql/15/bin"
const BIN_15 = process.env["PG_BIN15"] ?? DEBIAN_15

export interface PostgresVersion {
  readonly name: string
  readonly binaries?: string
}

const CHOSEN = process.env["PG_BIN"]

const main: PostgresVersion =
  CHOSEN === undefined ? { name: "npm's PostgreSQL" } : { name: `PostgreSQL of ${CHOSEN}`, binaries: CHOSEN }

export const isPostgres15Here = existsSync(join(BIN_15, "initdb"))

/** The oldest version that is promised comes second, where there is one; otherwise a skipped test must say so. */
export const postgresVersions: ReadonlyArray<PostgresVersion> =
  isPostgres15Here && main.binaries !== BIN_15 ? [main, { name: `PostgreSQL 15 of ${BIN_15}`, binaries: BIN_15 }] : [main]

/** Another build of the server gets another template. */
const templateName = (binaries: string): string => {
  const build = createHash("sha256").update(`${binaries} ${statSync(join(binaries, "postgres")).mtimeMs}`).digest("hex").slice(0, 12)
  return `portcullis-test-postgres-${userInfo().uid}-${build}`
}

/** Made under another name first, so that test files that start together never see half of it. */
const template = (version: PostgresVersion): Effect.Effect<string, PostgresServerFailed> =>
  Effect.gen(function*() {
    const ready = join(tmpdir(), templateName(yield* findBinaries(version.binaries)))
    if (existsSync(join(ready, "data", "PG_VERSION"))) return ready
    const fresh = yield* Effect.promise(() => mkdtemp(`${ready}.`))
    yield* Effect.scoped(startPostgres({ ...binariesOf(version), directory: fresh }))
    yield* Effect.promise(() => rename(fresh, ready).catch(() => rm(fresh, { recursive: true, force: true })))
    return ready
  })

const binariesOf = ({ binaries }: PostgresVersion) => (binaries === undefined ? {} : { binaries })

/** A server of the test's own, gone with the scope. Its settings are those of a small machine; durability is on. */
export const testPostgres = (version: PostgresVersion = main): Effect.Effect<PostgresServer, PostgresServerFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const from = yield* template(version)
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "portcullis-test-pg-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    yield* Effect.promise(async () => {
      await mkdir(directory, { recursive: true })
      await cp(join(from, "data"), join(directory, "data"), { recursive: true })
    })
    return yield* startPostgres({ ...binariesOf(version), directory, settings: { shared_buffers: "64MB", max_connections: "80" } })
  })
