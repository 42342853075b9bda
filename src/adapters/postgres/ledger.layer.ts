/** The whole ledger on one PostgreSQL: migrated first, then every port on the same connections. */
import { Effect, Layer } from "effect"
import type { KeyEncryptionKey } from "../../keys/key-encryption-key.port.ts"
import type { AuditLedger } from "../../ledger/audit-ledger.port.ts"
import type { Cluster } from "../../ledger/cluster.port.ts"
import type { DetectionLedger } from "../../ledger/detection-ledger.port.ts"
import type { LaneLedger } from "../../ledger/lane-ledger.port.ts"
import type { Leases } from "../../ledger/lease.port.ts"
import type { LedgerUnavailable } from "../../ledger/ledger-unavailable.ts"
import type { RequestLedger } from "../../ledger/request-ledger.port.ts"
import type { ResultLedger } from "../../ledger/result-ledger.port.ts"
import type { Sealer } from "../../ledger/sealer.port.ts"
import type { ShareLedger } from "../../ledger/share-ledger.port.ts"
import type { Timeline } from "../../ledger/timeline.port.ts"
import { auditLedgerLayer } from "./audit-ledger.layer.ts"
import { awaitServer } from "./await-server.ts"
import type { BuildsApart } from "./builds-apart.ts"
import { clusterLayer } from "./cluster.layer.ts"
import { detectionLedgerLayer } from "./detection-ledger.layer.ts"
import { laneLedgerLayer } from "./lane-ledger.layer.ts"
import { leasesLayer } from "./leases.layer.ts"
import { migrate } from "./migrate.ts"
import { Database } from "./pool.ts"
import { requestLedgerLayer } from "./request-ledger.layer.ts"
import { resultLedgerLayer } from "./result-ledger.layer.ts"
import { sealerLayer } from "./sealer.ts"
import { shareLedgerLayer } from "./share-ledger.layer.ts"
import { timelineLayer } from "./timeline.layer.ts"

export type Ledger = RequestLedger | DetectionLedger | Leases | ShareLedger | ResultLedger | LaneLedger | AuditLedger | Cluster | Timeline

const migrated = Layer.effectDiscard(Effect.flatMap(Database, ({ kysely, patient }) => Effect.andThen(awaitServer(kysely), migrate(patient))))

/** Under any sealer, e.g. one that still knows former key-encryption keys. Waits for a server that is not there
 * yet, within a bound; fails when the database cannot be migrated, or not by this build beside those that work on it. */
export const ledgerSealedBy = <E, R>(
  sealer: Layer.Layer<Sealer, E, R>
): Layer.Layer<Ledger, LedgerUnavailable | BuildsApart | E, Database | R> =>
  Layer.mergeAll(
    requestLedgerLayer,
    detectionLedgerLayer,
    leasesLayer,
    shareLedgerLayer,
    resultLedgerLayer,
    laneLedgerLayer,
    auditLedgerLayer,
    clusterLayer,
    timelineLayer
  ).pipe(Layer.provide(migrated), Layer.provide(sealer))

/** Sealed under the process's one key-encryption key. */
export const ledgerLayer: Layer.Layer<Ledger, LedgerUnavailable | BuildsApart, Database | KeyEncryptionKey> = ledgerSealedBy(sealerLayer())
