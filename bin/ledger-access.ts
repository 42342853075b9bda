/** The ledger as commands read it: by the database settings alone. They come without the key-encryption key, so that what is sealed stays so. */
import { readFileSync } from "node:fs"
import { Effect, Layer } from "effect"
import { clusterLayer } from "../src/adapters/postgres/cluster.layer.ts"
import { laneLedgerLayer } from "../src/adapters/postgres/lane-ledger.layer.ts"
import { leasesLayer } from "../src/adapters/postgres/leases.layer.ts"
import { Database, databaseLayer } from "../src/adapters/postgres/pool.ts"
import { requestLedgerLayer } from "../src/adapters/postgres/request-ledger.layer.ts"
import { shareLedgerLayer } from "../src/adapters/postgres/share-ledger.layer.ts"
import { timelineLayer } from "../src/adapters/postgres/timeline.layer.ts"
import { parseHex, lower } from "../src/domain/hex.ts"
import type { RequestId } from "../src/domain/request.ts"
import type { Cluster } from "../src/ledger/cluster.port.ts"
import type { LaneLedger } from "../src/ledger/lane-ledger.port.ts"
import type { Leases } from "../src/ledger/lease.port.ts"
import type { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import { Sealer, SealerUnavailable } from "../src/ledger/sealer.port.ts"
import type { ShareLedger } from "../src/ledger/share-ledger.port.ts"
import type { Timeline } from "../src/ledger/timeline.port.ts"
import { settingsOf } from "./client-access.ts"
import { type CommandFlags, usage, type UsageRejected } from "./run-command.ts"
import type { Settings } from "./settings.ts"

const withoutKeys = Layer.succeed(
  Sealer,
  Sealer.of({
    seal: () => Effect.fail(new SealerUnavailable({ cause: "commands have no key" })),
    open: () => Effect.fail(new SealerUnavailable({ cause: "commands have no key" }))
  })
)

export type ReadLedger = Cluster | Database | LaneLedger | Leases | RequestLedger | ShareLedger | Timeline

export const ledgerAt = (url: string): Layer.Layer<ReadLedger> =>
  Layer.mergeAll(requestLedgerLayer, shareLedgerLayer, clusterLayer, laneLedgerLayer, leasesLayer, timelineLayer).pipe(
    Layer.provide(withoutKeys),
    Layer.provideMerge(databaseLayer({ connection: { url }, applicationName: "portcullis-cli", connectionsMax: 1 }))
  )

export const withLedger = <A, E>(flags: CommandFlags, use: Effect.Effect<A, E, ReadLedger>): Effect.Effect<A, E | UsageRejected> =>
  settingsOf(flags, ["PORTCULLIS_DATABASE_URL_FILE"]).pipe(
    Effect.flatMap(databaseUrl),
    Effect.flatMap((url) => Effect.provide(use, ledgerAt(url)))
  )

/** What the file holds; its content is never repeated. */
export const databaseUrl = (settings: Settings): Effect.Effect<string, UsageRejected> =>
  Effect.try({
    try: () => readFileSync(settings.PORTCULLIS_DATABASE_URL_FILE ?? "", "utf8").trim(),
    catch: () => usage("the file that PORTCULLIS_DATABASE_URL_FILE names cannot be read")
  }).pipe(
    Effect.filterOrFail(
      (url) => URL.canParse(url) && /^postgres(?:ql)?:$/.test(new URL(url).protocol),
      () => usage("the file that PORTCULLIS_DATABASE_URL_FILE names does not hold a postgres:// URL")
    )
  )

/** Fails with `UsageRejected` for everything that is no request id. */
export const requestIdFrom = (text: string): Effect.Effect<RequestId, UsageRejected> =>
  parseHex(text, 32) === undefined
    ? Effect.fail(usage("a request id is 0x and 64 hex digits"))
    : Effect.succeed(lower(text))
