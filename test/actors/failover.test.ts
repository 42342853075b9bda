/** After a failover: nobody signs before the chain was asked what was lost, nothing is sent twice, and what was lost comes back. In memory and in
 * virtual time; test/system/failover.test.ts does the same with a real standby. */
import { Effect, Exit } from "effect"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { ADOPTED_MAX, watchTimeline } from "../../actors/failover.actor.ts"
import type { FreezeView } from "../../actors/runtime/freeze.ts"
import type { DatabaseCopy } from "../../chaos/simulator/ledger/memory-database.ts"
import { LANE_PATIENCE } from "../../machines/transaction-lane.machine.ts"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import { NO_BATCH } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import type { Standing } from "../../src/ledger/standing.ts"
import { Timeline } from "../../src/ledger/timeline.port.ts"
import { noWitness, REMEMBER_EVERY_MS, Witness } from "../../src/ledger/witness.port.ts"
import { random32 } from "../support/ledger-world.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"
import { sayReconciled } from "../support/reconciled.ts"
import { heardTelemetry, type HeardTelemetry } from "./support/heard-telemetry.ts"
import { LaneWorld } from "./support/lane-world.ts"
import { CANCELLED } from "./support/submission-chain.ts"

let world: MemoryLedgerWorld
let lane: LaneWorld
beforeEach(async () => {
  world = await openMemoryLedgerWorld()
  lane = new LaneWorld(world)
})
afterEach(() => world.close())

const succeeded = <A>(exit: Exit.Exit<A, unknown>): A => {
  expect(Exit.isSuccess(exit), JSON.stringify(exit)).toBe(true)
  return (exit as Exit.Success<A, never>).value
}

/** The ledger knows of nonce 0; then a standby stops hearing, and the batch behind it is sent at nonce 1. */
const sentAndLost = async (): Promise<{ readonly seen: DatabaseCopy; readonly root: string }> => {
  await lane.queue()
  succeeded(await lane.round())
  const [root] = await lane.queue()
  const seen = world.database.copy()
  succeeded(await lane.round())
  expect(lane.chain.broadcasts.at(-1)).toMatchObject({ nonce: 1, root })
  return { seen, root: root! }
}

const goOn = async (rounds: number) => {
  for (let round = 0; round < rounds; round++) {
    succeeded(await lane.round())
    lane.chain.mine()
    lane.chain.finalise()
    await lane.later(LANE_PATIENCE.foreignAfterMs / 2)
  }
}

describe("a lane whose last commits were lost", () => {
  test("signs nothing before the chain was asked, whatever its sender believes", async () => {
    const { seen, root } = await sentAndLost()
    world.database.promote(seen)
    const before = lane.chain.broadcasts.length
    succeeded(await lane.round())
    expect(lane.chain.broadcasts.slice(before).filter(({ nonce }) => nonce > 0)).toEqual([])
    expect((await lane.waiting()).map((batch) => batch.root)).toEqual([root])
  })

  test("sends nothing a second time that was mined meanwhile", async () => {
    const { seen, root } = await sentAndLost()
    lane.chain.mine()
    world.database.promote(seen)
    expect(succeeded(await lane.reconcile())).toBe(true)
    expect((await lane.slots()).slots).toMatchObject([{ nonce: 0 }, { nonce: 1, root: NO_BATCH, attempts: [{ isCancellation: true }] }])
    await goOn(5)
    expect(lane.chain.fulfilled.filter((one) => one === root)).toEqual([root])
    expect(lane.chain.rootsByNonce).not.toContain(CANCELLED)
    expect((await lane.slots()).slots).toEqual([])
    expect(await lane.waiting()).toEqual([])
  })

  test("gives no other batch the nonce of what is still in a mempool, and both end well", async () => {
    const { seen, root } = await sentAndLost()
    world.database.promote(seen)
    const [another] = await lane.queue()
    expect(succeeded(await lane.reconcile())).toBe(true)
    await goOn(6)
    expect(lane.chain.fulfilled.filter((one) => one === root)).toEqual([root])
    expect(lane.chain.fulfilled.filter((one) => one === another)).toEqual([another])
    const carried = lane.chain.broadcasts.filter(({ nonce }) => nonce === 1).map((sent) => sent.root)
    expect(new Set(carried)).toEqual(new Set([root, CANCELLED]))
    expect((await lane.slots()).slots).toEqual([])
  })

  test("is found in the same way when who asked has died after any write", async () => {
    const { seen, root } = await sentAndLost()
    await lane.queue(2)
    succeeded(await lane.round())
    lane.chain.mine()
    world.database.promote(seen)
    lane.death = "after adopt"
    expect(Exit.isSuccess(await lane.reconcile())).toBe(false)
    expect((await lane.slots()).nextNonce).toBe(2)
    expect(succeeded(await lane.reconcile("node-b"))).toBe(true)
    expect((await lane.slots()).slots.map(({ nonce }) => nonce)).toEqual([0, 1, 2, 3])
    expect(succeeded(await lane.reconcile())).toBe(false) // it was done
    await goOn(5)
    expect(lane.chain.fulfilled.filter((one) => one === root)).toEqual([root])
  })

  test("of which the ledger has lost even the first nonce begins above what is in the mempool", async () => {
    const seen = world.database.copy()
    await lane.queue(2)
    succeeded(await lane.round())
    world.database.promote(seen)
    expect(succeeded(await lane.reconcile())).toBe(true)
    expect((await lane.slots()).nextNonce).toBe(2)
  })

  test.each(["before it forgot", "after it forgot"])("and which forgets what is final goes on where the chain is, from a copy %s", async (copied) => {
    const [first] = await lane.queue()
    await goOn(2)
    const before = world.database.copy()
    const rows = await lane.forget()
    expect(rows).toBeGreaterThan(0)
    const after = world.database.copy()
    const [root] = await lane.queue()
    succeeded(await lane.round())
    lane.chain.mine()
    world.database.promote(copied === "before it forgot" ? before : after)
    expect(await lane.forget()).toBe(copied === "before it forgot" ? rows : 0) // nobody waits with that until the chain was asked
    expect(succeeded(await lane.reconcile())).toBe(true)
    const sent = lane.chain.broadcasts.length
    const [another] = await lane.queue()
    await goOn(5)
    await lane.forget()
    await goOn(1)
    expect(lane.chain.broadcasts.slice(sent).filter(({ nonce }) => nonce === 0)).toEqual([])
    expect(lane.chain.rootsByNonce).toEqual([first, root, another])
    expect(await lane.slots()).toEqual({ nextNonce: 3, slots: [] })
  })

  test("whose endpoint names an absurd nonce pages somebody, and takes so many and no more", async () => {
    const { seen } = await sentAndLost()
    world.database.promote(seen)
    lane.chain.liedNonce = 1_000_000
    expect(succeeded(await lane.reconcile())).toBe(true)
    expect(lane.telemetry.errors).toMatchObject([{ what: "a lane's nonce leapt ahead", data: { runbook: "docs/runbooks/failover.md" } }])
    expect((await lane.slots()).nextNonce).toBe(1 + ADOPTED_MAX)
  })
})

test("a chain that does not answer keeps the lanes frozen, and the next try succeeds", async () => {
  const { seen } = await sentAndLost()
  world.database.promote(seen)
  lane.chain.isUnreachable = true
  expect(Exit.isSuccess(await lane.reconcile())).toBe(false)
  await lane.queue()
  lane.chain.isUnreachable = false
  const before = lane.chain.broadcasts.length
  succeeded(await lane.round())
  expect(lane.chain.broadcasts.slice(before).filter(({ nonce }) => nonce > 0)).toEqual([])
  expect(succeeded(await lane.reconcile())).toBe(true)
})

test("no epoch is given twice, though two failovers in a row forget what was given in between", async () => {
  const claim = (owner: string) =>
    world.run(Leases.use((leases) => leases.claim(["partition/1"], owner, 1))).then(([lease]) => lease!.epoch)
  const next = async (owner: string) => {
    await world.run(world.passLaneTime(2))
    return claim(owner)
  }
  const epochs = [await claim("a")]
  const seen = world.database.copy()
  epochs.push(await next("b"), await next("c"))
  world.database.promote(seen)
  epochs.push(await next("d"), await next("e"), await next("f"))
  world.database.promote(seen)
  epochs.push(await next("g"))
  expect(new Set(epochs).size).toBe(epochs.length)
  expect(epochs).toEqual(epochs.toSorted((one, other) => (one < other ? -1 : 1)))
})

/** A gateway that watches, with what stands outside the database. */
const watching = (
  witness: Witness["Service"],
  program: (freeze: FreezeView, telemetry: HeardTelemetry) => Effect.Effect<void, unknown, Ledger>
) => {
  const telemetry = heardTelemetry()
  const watched = Effect.scoped(Effect.flatMap(watchTimeline, (freeze) => program(freeze, telemetry)))
  return world
    .run(watched.pipe(Effect.provideService(Witness, witness), Effect.provide(telemetry.layer)))
    .then(() => ({ telemetry, said: telemetry.warnings.map(({ what }) => what).join("; ") }))
}
/** One word outside the database, as in NATS. */
const slate = () => {
  const on: { word: Standing | null } = { word: null }
  const remember = (standing: Standing) =>
    Effect.sync(() => {
      const before = on.word
      on.word = standing
      return before
    })
  return { on, witness: { recall: Effect.sync(() => on.word), remember } }
}
const commit = Leases.use((leases) => leases.claim([`test/${random32()}`], "somebody", 60_000))
const rewinds = Timeline.use(({ look }) => Effect.map(look, ({ standing }) => standing.rewinds))

test("a promotion is noticed within a second, and a crash with its recovery is none", async () => {
  const { telemetry, said } = await watching(noWitness, (freeze) =>
    Effect.gen(function* () {
      expect(freeze.isFrozen()).toBe(false)
      world.database.stop()
      yield* world.passLaneTime(3_000)
      world.database.start()
      yield* world.passLaneTime(3_000)
      expect(freeze.isFrozen()).toBe(false)
      world.database.promote(world.database.copy())
      yield* world.passLaneTime(1_000)
      expect(freeze.isFrozen()).toBe(true)
    })
  )
  expect(telemetry.gauged("reconciling").slice(-1)).toEqual([1])
  expect(said).toMatch(/the database is in another history/)
})

test("two clusters on one NATS account are noticed, and what is left of a replaced database is none", async () => {
  const { on, witness } = slate()
  const { standing } = await world.run(Timeline.use(({ look }) => look))
  const stranger = { ...standing, system: "another" }
  on.word = stranger
  const { telemetry } = await watching(witness, (_, telemetry) =>
    Effect.gen(function* () {
      yield* world.passLaneTime(3 * REMEMBER_EVERY_MS)
      expect(on.word?.system).toBe(standing.system)
      expect(telemetry.errors).toEqual([])
      for (let round = 0; round < 5; round++) {
        on.word = stranger // they go on saying so
        yield* world.passLaneTime(REMEMBER_EVERY_MS)
      }
    })
  )
  expect(telemetry.errors, "it is said, and not each time").toMatchObject([
    { what: "another cluster uses the same NATS account", data: { database: standing.system, theirs: "another" } }
  ])
})

describe("a snapshot that is put back, which PostgreSQL itself does not tell", () => {
  test("is noticed by who has seen the commits that it lacks, though others have written more since than was lost", async () => {
    const { said } = await watching(noWitness, (freeze) =>
      Effect.gen(function* () {
        const snapshot = world.database.copy()
        yield* commit
        yield* world.passLaneTime(1_000)
        world.database.restore(snapshot)
        for (let more = 0; more < 5; more++) yield* commit
        yield* world.passLaneTime(1_000)
        expect(freeze.isFrozen()).toBe(true)
        yield* sayReconciled
        yield* world.passLaneTime(1_000)
        expect(freeze.isFrozen()).toBe(false)
        expect(yield* rewinds).toBe(1)
      })
    )
    expect(said).toMatch(/lacks commits that were seen/)
  })

  test("is noticed by a gateway that has only been told how far it had come, and by nobody when nothing is lacking", async () => {
    const { witness } = slate()
    const snapshot = world.database.copy()
    await watching(witness, () => Effect.andThen(commit, world.passLaneTime(2 * REMEMBER_EVERY_MS)))
    world.database.stop()
    world.database.start()
    const well = await watching(witness, (freeze) => Effect.sync(() => expect(freeze.isFrozen()).toBe(false)))
    expect(well.said).toBe("")
    world.database.restore(snapshot)
    const { said } = await watching(witness, (freeze) => Effect.sync(() => expect(freeze.isFrozen()).toBe(true)))
    expect(said).toMatch(/lacks commits that were seen/)
  })

  test("is taken for one when the server has started again and nobody remembers; not when it has only run on", async () => {
    const well = await watching(noWitness, (freeze) => Effect.sync(() => expect(freeze.isFrozen()).toBe(false)))
    expect(well.said).toBe("")
    world.database.stop()
    world.database.start()
    const { said } = await watching(noWitness, (freeze) => Effect.sync(() => expect(freeze.isFrozen()).toBe(true)))
    expect(said).toMatch(/nobody remembers/)
  })

  test("keeps every lane from signing before anybody has looked, and gives epochs beyond the lost ones", async () => {
    const [root] = await lane.queue()
    const snapshot = world.database.copy()
    const lost = await lane.claim("another")
    world.database.restore(snapshot)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toEqual([])
    expect((await lane.waiting()).map((batch) => batch.root)).toEqual([root])
    await world.run(Timeline.use(({ look, rewind }) => Effect.flatMap(look, ({ standing }) => rewind(standing, 0))))
    expect(succeeded(await lane.reconcile())).toBe(true)
    expect((await lane.claim()).epoch).toBeGreaterThan(lost.epoch)
    succeeded(await lane.round())
    expect(lane.chain.broadcasts).toMatchObject([{ nonce: 0, root }])
  })
})
