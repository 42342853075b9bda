/** A change of owner in the middle of saves: whatever the old owner writes is committed before the new epoch exists, or never. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import pg from "pg"
import { afterAll, beforeAll, test } from "vitest"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { eventually } from "../support/eventually.ts"
import { aChange, born, type LedgerWorld, openLedgerWorld, ownPartition } from "../support/ledger-world.ts"

let world: LedgerWorld
beforeAll(async () => {
  world = await openLedgerWorld()
})
afterAll(() => world?.close())

const waitingForLocks = () =>
  world.query("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'portcullis-test'")

const save = (request: Parameters<typeof aChange>[0], epoch: bigint, worker: string) =>
  world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.save([aChange(request, { epoch })], worker)))

test("a save that meets a takeover under way waits for it and then writes nothing", async () => {
  const [[request], lease] = await world.run(Effect.all([born(1, { partition: 1 }), ownPartition(1, "old")]))
  const taker = new pg.Client(world.server.address)
  await taker.connect()
  await taker.query("BEGIN")
  await taker.query("UPDATE lease SET owner = 'new', epoch = epoch + 1 WHERE name = 'partition/1'")
  const zombie = save(request!, lease.epoch, "zombie")
  await eventually("the zombie waits", async () => (await waitingForLocks()).length > 0)
  await taker.query("COMMIT")
  await taker.end()
  assert.equal((await zombie)[0]?.type, "stale")
  assert.equal((await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.history(request!.id)))).length, 1)
})

test("a takeover that meets a save under way waits for it, and the new owner sees what it wrote", async () => {
  const [[request], lease] = await world.run(Effect.all([born(1, { partition: 2 }), ownPartition(2, "old")]))
  // The save is held up in its middle, after it has locked the lease, by somebody who holds the request's row.
  const holder = new pg.Client(world.server.address)
  await holder.connect()
  await holder.query("BEGIN")
  await holder.query("SELECT FROM request WHERE request_id = $1 FOR UPDATE", [Buffer.from(request!.id.slice(2), "hex")])
  const held = save(request!, lease.epoch, "old")
  await eventually("the save waits", async () => (await waitingForLocks()).length === 1)
  await world.query("UPDATE lease SET until = now() - interval '1 second' WHERE name = 'partition/2'")
  const takeover = world.run(Effect.flatMap(Leases, (leases) => leases.claim(["partition/2"], "new", 60_000)))
  await eventually("the takeover waits", async () => (await waitingForLocks()).length === 2)
  await holder.query("ROLLBACK")
  await holder.end()
  assert.equal((await held)[0]?.type, "saved")
  const [newer] = await takeover
  assert(newer !== undefined && newer.epoch > lease.epoch)
  const [now] = await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.load([request!.id])))
  assert.equal(now?.version, 2)
  assert.equal((await save(now, lease.epoch, "old"))[0]?.type, "stale")
  assert.equal((await save(now, newer.epoch, "new"))[0]?.type, "saved")
})

test("a renewal does not wait for saves under way", async () => {
  const [[request], lease] = await world.run(Effect.all([born(1, { partition: 3 }), ownPartition(3, "owner")]))
  const holder = new pg.Client(world.server.address)
  await holder.connect()
  await holder.query("BEGIN")
  await holder.query("SELECT FROM request WHERE request_id = $1 FOR UPDATE", [Buffer.from(request!.id.slice(2), "hex")])
  const held = save(request!, lease.epoch, "owner")
  await eventually("the save waits", async () => (await waitingForLocks()).length === 1)
  const renewed = await world.run(Effect.flatMap(Leases, (leases) => leases.renew([lease], "owner", 60_000)))
  assert.deepEqual(renewed, [lease])
  await holder.query("ROLLBACK")
  await holder.end()
  assert.equal((await held)[0]?.type, "saved")
})

test("two owners in two processes, each sure of its lease, never both decide one version", async () => {
  const other = world.another()
  const requests = await world.run(born(60, { partition: 4 }))
  const stream = async (process: Pick<LedgerWorld, "run">, owner: string) => {
    const won: Array<string> = []
    for (const request of requests) {
      await process.run(
        Effect.gen(function*() {
          const leases = yield* Leases
          const ledger = yield* RequestLedger
          const [mine] = yield* leases.claim(["partition/4"], owner, 60_000)
          const epoch = mine?.epoch ?? 1n
          const [saved] = yield* ledger.save([aChange(request, { epoch })], owner)
          if (saved?.type === "saved") won.push(request.id)
          if (mine !== undefined) yield* leases.resign([mine], owner)
        })
      )
    }
    return won
  }
  const [a, b] = await Promise.all([stream(world, "a"), stream(other, "b")])
  assert.equal(new Set([...a, ...b]).size, a.length + b.length)
  for (const request of requests) {
    const history = await world.run(Effect.flatMap(RequestLedger, (ledger) => ledger.history(request.id)))
    const winner = a.includes(request.id) ? ["a"] : b.includes(request.id) ? ["b"] : []
    assert.deepEqual(history.slice(1).map((row) => row.worker), winner)
  }
  await other.close()
})
