/** Every law of the ledger, on the one in memory that the simulator runs on: what is found there must be true of PostgreSQL. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe } from "vitest"
import { sealerOf } from "../../chaos/simulator/ledger/sealer.ts"
import { Sealer } from "../../src/ledger/sealer.port.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"
import { auditLedgerLaws } from "./audit-ledger.laws.ts"
import { clusterLaws } from "./cluster.laws.ts"
import { modelTracesLaws } from "./model-traces.laws.ts"
import { detectionLedgerLaws } from "./detection-ledger.laws.ts"
import { laneLedgerLaws } from "./lane-ledger.laws.ts"
import { laneMemoryLaws } from "./lane-memory.laws.ts"
import { leasesLaws } from "./leases.laws.ts"
import { owedWorkLaws } from "./owed-work.laws.ts"
import { requestLedgerModelLaws } from "./request-ledger-model.laws.ts"
import { requestLedgerLaws } from "./request-ledger.laws.ts"
import { resultLedgerLaws } from "./result-ledger.laws.ts"
import { sealerLaws } from "./sealer.laws.ts"
import { shareLedgerLaws } from "./share-ledger.laws.ts"
import { timelineLaws } from "./timeline.laws.ts"

const openSealer = (node: string) => Effect.provide(Sealer, sealerOf({ node, key: "laws" }))

describe("the ledger in memory", () => {
  let world: MemoryLedgerWorld
  beforeAll(async () => {
    world = await openMemoryLedgerWorld()
  })
  afterAll(() => world?.close())

  describe("RequestLedger", () => requestLedgerLaws(() => world))
  describe("RequestLedger: messages owed", () => owedWorkLaws(() => world))
  describe("RequestLedger against its model", () => requestLedgerModelLaws(() => world))
  describe("Leases", () => leasesLaws(() => world))
  describe("DetectionLedger", () => detectionLedgerLaws(() => world))
  describe("ShareLedger", () => shareLedgerLaws(() => world))
  describe("ResultLedger", () => resultLedgerLaws(() => world))
  describe("LaneLedger", () => laneLedgerLaws(() => world))
  describe("LaneLedger: what it forgets", () => laneMemoryLaws(() => world))
  describe("Cluster", () => clusterLaws(() => world))
  describe("AuditLedger", () => auditLedgerLaws(() => world))
  describe("Sealer", () =>
    sealerLaws((use) => Effect.runPromise(Effect.flatMap(Effect.all([openSealer("a"), openSealer("b")]), ([one, other]) => use(one, other)))))
  describe("The protocol", () => modelTracesLaws(() => world, 60))
  describe("Timeline", () => timelineLaws(() => world))
})
