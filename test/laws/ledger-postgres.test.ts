/** Every law of the ledger, on the PostgreSQL from npm (or PG_BIN) and on PostgreSQL 15, the oldest that is promised. */
import { afterAll, beforeAll, describe, test } from "vitest"
import { type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts"
import { isPostgres15Here, postgresVersions } from "../support/postgres.ts"
import { detectionLedgerLaws } from "./detection-ledger.laws.ts"
import { laneLedgerLaws } from "./lane-ledger.laws.ts"
import { leasesLaws } from "./leases.laws.ts"
import { requestLedgerLaws } from "./request-ledger.laws.ts"
import { resultLedgerLaws } from "./result-ledger.laws.ts"
import { shareLedgerLaws } from "./share-ledger.laws.ts"

test.skipIf(!isPostgres15Here)("PostgreSQL 15 is here (PG_BIN15 or Debian's package), so that the laws run on it too", () => undefined)

for (const version of postgresVersions) {
  describe(`the ledger on ${version.name}`, () => {
    let world: LedgerWorld
    beforeAll(async () => {
      world = await openLedgerWorld(version)
    })
    afterAll(() => world?.close())

    describe("RequestLedger", () => requestLedgerLaws(() => world))
    describe("Leases", () => leasesLaws(() => world))
    describe("DetectionLedger", () => detectionLedgerLaws(() => world))
    describe("ShareLedger", () => shareLedgerLaws(() => world))
    describe("ResultLedger", () => resultLedgerLaws(() => world))
    describe("LaneLedger", () => laneLedgerLaws(() => world))
  })
}
