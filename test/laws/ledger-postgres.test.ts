/** Every law of the ledger, on the PostgreSQL from npm (or PG_BIN) and on PostgreSQL 15, the oldest that is promised. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts"
import { isPostgres15Here, postgresVersions } from "../support/postgres.ts"
import { auditLedgerLaws } from "./audit-ledger.laws.ts"
import { clusterLaws } from "./cluster.laws.ts"
import { detectionLedgerLaws } from "./detection-ledger.laws.ts"
import { laneLedgerLaws } from "./lane-ledger.laws.ts"
import { laneMemoryLaws } from "./lane-memory.laws.ts"
import { leasesLaws } from "./leases.laws.ts"
import { modelTracesLaws } from "./model-traces.laws.ts"
import { owedWorkLaws } from "./owed-work.laws.ts"
import { requestLedgerLaws } from "./request-ledger.laws.ts"
import { resultLedgerLaws } from "./result-ledger.laws.ts"
import { shareLedgerLaws } from "./share-ledger.laws.ts"
import { timelineLaws } from "./timeline.laws.ts"

/** Said by its name in every report, and true either way: npm's server always, 15 as well where it is installed. */
const heldTo = isPostgres15Here ? "npm's PostgreSQL and 15" : "npm's PostgreSQL alone: 15 is not installed (PG_BIN15 or Debian's package)"
test(`the laws are held on ${heldTo}`, () => {
  expect(postgresVersions.length).toBeGreaterThanOrEqual(1)
  expect(new Set(postgresVersions.map(({ name }) => name)).size).toBe(postgresVersions.length)
  if (!isPostgres15Here) expect(postgresVersions).toHaveLength(1)
})

for (const version of postgresVersions) {
  describe(`the ledger on ${version.name}`, () => {
    let world: LedgerWorld
    beforeAll(async () => {
      world = await openLedgerWorld(version)
    })
    afterAll(() => world?.close())

    describe("RequestLedger", () => requestLedgerLaws(() => world))
    describe("RequestLedger: messages owed", () => owedWorkLaws(() => world))
    describe("Leases", () => leasesLaws(() => world))
    describe("DetectionLedger", () => detectionLedgerLaws(() => world))
    describe("ShareLedger", () => shareLedgerLaws(() => world))
    describe("ResultLedger", () => resultLedgerLaws(() => world))
    describe("Cluster", () => clusterLaws(() => world))
    describe("LaneLedger", () => laneLedgerLaws(() => world))
    describe("LaneLedger: what it forgets", () => laneMemoryLaws(() => world))
    describe("AuditLedger", () => auditLedgerLaws(() => world))
    describe("The protocol", () => modelTracesLaws(() => world, 8))
    describe("Timeline", () => timelineLaws(() => world))
  })
}
