/** The model of the request ledger, on PostgreSQL; on the ledger in memory: ledger-memory.test.ts. */
import { afterAll, beforeAll } from "vitest"
import { type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts"
import { requestLedgerModelLaws } from "./request-ledger-model.laws.ts"

let world: LedgerWorld
beforeAll(async () => {
  world = await openLedgerWorld()
})
afterAll(() => world?.close())

requestLedgerModelLaws(() => world)
