/** The services that a gateway stands on: PostgreSQL, NATS and the object stores. */
import { constants } from "node:fs"
import { access, readdir } from "node:fs/promises"
import { Effect, References, Stream } from "effect"
import { natsReport } from "../../src/adapters/nats/server-report.ts"
import { ciphertextStoreLayer, faultOfStore, type StoreOptions } from "../../src/adapters/object-store/ciphertext-store.layer.ts"
import { locationOf } from "../../src/adapters/object-store/location.ts"
import { needsAStop } from "../../src/adapters/postgres/builds-apart.ts"
import { databaseReport } from "../../src/adapters/postgres/database-report.ts"
import { databaseLayer } from "../../src/adapters/postgres/pool.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { busOf, Problems, storesOf } from "../gateway-from-settings.ts"
import { databaseUrl } from "../ledger-access.ts"
import { attempt } from "../run-command.ts"
import type { Settings } from "../settings.ts"
import { checked, fail, ok, skewFinding, warn, type Finding } from "./finding.ts"

/** Leases and wake-ups run on the database's clock, deadlines on the chain's: a second is felt, a lease (10 s) is too much. */
const DATABASE_SKEW = { warnMs: 1_000, failMs: 5_000 }

/** Where the schema changes so that nodes of an older build cannot go on with it. */
const STOP_FIRST = "Drain all nodes of the older build, then start a gateway: it runs them, and not before."
/** The oldest that tests run on. */
const POSTGRES_MIN = "15"
const NATS_MIN = "2.9"

const isOlder = (version: string, least: string): boolean => {
  const [have, need] = [version, least].map((text) => text.split(".").map((part) => Number.parseInt(part, 10)))
  const differs = need?.findIndex((part, index) => have?.[index] !== part) ?? -1
  return differs >= 0 && (have?.[differs] ?? 0) < (need?.[differs] ?? 0)
}

export const checkDatabase = (settings: Settings) => {
  if (settings.PORTCULLIS_DATABASE_URL_FILE === undefined) return Effect.succeed([])
  const look = Effect.flatMap(databaseUrl(settings), (url) =>
    databaseReport(Date.now).pipe(
      Effect.provide(databaseLayer({ connection: { url }, applicationName: "portcullis-doctor", connectionsMax: 1 }))
    )
  )
  const judge = look.pipe(
    Effect.map(({ version, skewMs, pendingMigrations: pending }) => {
      const clock = skewFinding("database", `PostgreSQL ${version}`, skewMs, DATABASE_SKEW)
      const isOld = isOlder(version, POSTGRES_MIN) && clock.status === "ok"
      const own = isOld ? warn("database", clock.detail, `Nobody tests with a PostgreSQL older than ${POSTGRES_MIN}: upgrade it.`) : clock
      return pending.length === 0
        ? [own, ok("database", "has the schema of this program")]
        : [own, warn("database", `${pending.length} migration${pending.length === 1 ? " is" : "s are"} still to be run`, pending.some(needsAStop) ? STOP_FIRST : "Start a gateway: it runs them.")]
    })
  )
  return checked("database", "See that PostgreSQL runs, that the URL in PORTCULLIS_DATABASE_URL_FILE is right, and that its log lets us in.", judge)
}

export const checkNats = (settings: Settings) => {
  const problems = new Problems()
  const bus = busOf(settings, problems)
  if (bus === "embedded") return Effect.succeed([ok("nats", "not configured: one process with the embedded bus")])
  if (problems.found.length > 0) return Effect.succeed(problems.found.map((problem) => fail("nats", problem, "Correct the setting.")))
  const judge = natsReport(bus).pipe(
    Effect.map(({ version, isJetStreamEnabled, streams }) => {
      if (!isJetStreamEnabled) {
        return [fail("nats", `nats-server ${version} without JetStream`, "Start nats-server with JetStream (-js, or a jetstream block).")]
      }
      const said = `nats-server ${version}, JetStream with ${streams} stream${streams === 1 ? "" : "s"}`
      return [isOlder(version, NATS_MIN) ? warn("nats", said, `Nobody tests with a nats-server older than ${NATS_MIN}: upgrade it.`) : ok("nats", said)]
    }),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
  return checked("nats", "See that nats-server runs at PORTCULLIS_BUS and accepts our credentials.", judge)
}

/** Nothing has this digest. A store that says so has been asked and has answered. */
const NOBODYS_DIGEST = `0x${"00".repeat(32)}`

export const checkStores = (settings: Settings) =>
  Effect.gen(function* () {
    if (settings.PORTCULLIS_STORES === undefined) return []
    const stores = storesOf(settings.PORTCULLIS_STORES)
    const found = yield* Effect.forEach(stores, checkStore, { concurrency: "unbounded" })
    const cache = settings.PORTCULLIS_CACHE_DIR
    return [...found.flat(), ...(cache === undefined ? [] : yield* checkCache(cache))]
  })

const checkStore = (store: StoreOptions): Effect.Effect<ReadonlyArray<Finding>> => {
  const part = "store"
  const fault = faultOfStore(store)
  if (fault !== undefined) return Effect.succeed([fail(part, fault, "Correct PORTCULLIS_STORES.")])
  const said = `${store.name}: ${store.kind === "directory" ? store.path : "over HTTP"}`
  const read = CiphertextStore.use((port) => Stream.runDrain(port.read(locationOf(store.name, NOBODYS_DIGEST)))).pipe(
    Effect.catchTag("ObjectMissing", () => Effect.void),
    Effect.provide(ciphertextStoreLayer([store]))
  )
  const list = store.kind === "directory" ? attempt(() => readdir(store.path)) : Effect.void
  const advice = store.kind === "directory" ? "Mount it, or let this user read it." : "See that its base URL answers from this machine."
  return checked(part, advice, Effect.as(Effect.andThen(list, read), [ok(part, `${said}, readable`)]))
}

const checkCache = (path: string) =>
  checked(
    "cache",
    "Let this user write there, or make the directory's parent exist.",
    attempt(() => access(path, constants.R_OK | constants.W_OK)).pipe(
      Effect.as([ok("cache", `${path}, writable`)]),
      Effect.catch((error) =>
        (error as { readonly code?: unknown }).code === "ENOENT"
          ? Effect.succeed([warn("cache", `${path} does not exist yet`, "A gateway makes it when it starts.")])
          : Effect.fail(error)
      )
    )
  )
