/** The whole ledger of one simulated node: every port over its connection to the world's one database. */
import { Layer } from "effect"
import type { Ledger } from "../../../src/adapters/postgres/ledger.layer.ts"
import type { Sealer } from "../../../src/ledger/sealer.port.ts"
import { auditLedgerOn } from "./audit-ledger.ts"
import { clusterOn } from "./cluster.ts"
import type { Connection } from "./connection.ts"
import { detectionLedgerOn } from "./detection-ledger.ts"
import { laneLedgerOn } from "./lane-ledger.ts"
import { leasesOn } from "./leases.ts"
import { requestLedgerOn } from "./request-ledger.ts"
import { resultLedgerOn } from "./result-ledger.ts"
import { shareLedgerOn } from "./share-ledger.ts"
import { timelineOn } from "./timeline.ts"

export const memoryLedger = (connection: Connection, sealer: Layer.Layer<Sealer>): Layer.Layer<Ledger> =>
  Layer.mergeAll(
    requestLedgerOn(connection),
    detectionLedgerOn(connection),
    leasesOn(connection),
    shareLedgerOn(connection),
    resultLedgerOn(connection),
    laneLedgerOn(connection),
    auditLedgerOn(connection),
    clusterOn(connection),
    timelineOn(connection)
  ).pipe(Layer.provide(sealer))
