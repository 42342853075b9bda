import { Effect } from "effect"
import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "vitest"
import { ConstraintViolation } from "../../chaos/simulator/ledger/memory-table.ts"
import { leaseTable, shareAskTable } from "../../chaos/simulator/ledger/tables.ts"
import { type Lease, Leases } from "../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../src/ledger/ledger-unavailable.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"

let world: MemoryLedgerWorld
beforeEach(async () => {
  world = await openMemoryLedgerWorld()
})
afterEach(() => world.close())

const claim = (name: string, owner = "a") => Effect.map(Leases, (leases) => leases.claim([name], owner, 60_000)).pipe(Effect.flatten)
const holders = Effect.flatMap(Leases, (leases) => leases.holders)
const lost = Effect.fail(new LedgerUnavailable({ doing: "travel", cause: "the line broke" }))
const names = async () => (await world.run(holders)).map(({ name }) => name)

test("a statement that is refused half-way leaves nothing of itself behind, in rows, constraints and indexes", async () => {
  await world.run(claim("first"))
  const before = world.database.copy()
  assert.throws(
    () =>
      world.database.transact(({ table }) => {
        table(leaseTable).update("first", (row) => ({ ...row, owner: "b" }))
        table(leaseTable).delete("first")
        table(leaseTable).insert({ name: "second", owner: "b", epoch: 1n, untilMs: 0, givenIn: "" })
        table(shareAskTable).insert({ requestId: "0x01", nodes: [1, 2], budget: 1, firstAtMs: 0, lastAtMs: 0 })
      }),
    (error) => error instanceof ConstraintViolation && error.code === "23514"
  )
  const rows = (copy: typeof before) => copy.tables.flatMap((table) => [...table.rows])
  assert.deepEqual(rows(world.database.copy()), rows(before))
  assert.deepEqual(await names(), ["first"])
})

test("a statement that fails before it runs was not executed, and one that fails after it was", async () => {
  const seen: Array<string> = []
  const node = world.another({
    before: ({ name, nth }) => {
      seen.push(`${name} ${nth}`)
      return nth === 1 ? lost : Effect.void
    },
    after: ({ nth }) => (nth === 2 ? lost : Effect.void)
  })
  assert((await node.run(Effect.flip(claim("lane/1")))) instanceof LedgerUnavailable)
  assert.deepEqual(await names(), [])
  assert((await node.run(Effect.flip(claim("lane/1")))) instanceof LedgerUnavailable)
  assert.deepEqual(await names(), ["lane/1"])
  assert.equal((await node.run(claim("lane/1"))).length, 1)
  assert.deepEqual(seen, ["claim-leases 1", "claim-leases 2", "claim-leases 3"])
  assert.deepEqual(node.connection.counts, new Map([["claim-leases", 3]]))
})

test("a node that is cut off in the middle of a statement changes nothing more and hears nothing more", async () => {
  const node = world.another({ before: () => Effect.sync(() => node.connection.cut()) })
  assert((await node.run(Effect.flip(claim("partition/1")))) instanceof LedgerUnavailable)
  assert((await node.run(Effect.flip(holders))) instanceof LedgerUnavailable)
  assert.deepEqual(await names(), [])
})

test("a database that stops answers nobody, and starts again with everything that was committed", async () => {
  await world.run(claim("partition/1"))
  world.database.stop()
  assert((await world.run(Effect.flip(holders))) instanceof LedgerUnavailable)
  world.database.start()
  assert.deepEqual(await names(), ["partition/1"])
  assert.equal(world.database.timeline, 1)
})

test("a promoted standby knows what it had seen and nothing since, and says that its history is another", async () => {
  const [first] = await world.run(claim("partition/1"))
  const seen = world.database.copy()
  const resign = (lease: Lease) => Effect.flatMap(Leases, (leases) => leases.resign([lease], "a"))
  await world.run(Effect.andThen(resign(first!), claim("partition/1", "b")))
  await world.run(claim("partition/2"))
  world.database.promote(seen)
  assert.deepEqual(
    (await world.run(holders)).map(({ name, owner, epoch }) => ({ name, owner, epoch })),
    [{ name: "partition/1", owner: "a", epoch: first?.epoch }]
  )
  assert.equal(world.database.timeline, 2)
  await world.run(claim("partition/3"))
  assert.deepEqual(await names(), ["partition/1", "partition/3"])
})
