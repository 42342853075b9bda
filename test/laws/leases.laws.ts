/** What every Leases promises: one owner at a time by the ledger's clock, and an epoch that grows with every change of owner. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { random32 } from "../support/ledger-world.ts"

const someNames = (count: number): ReadonlyArray<string> => Array.from({ length: count }, () => `test/${random32()}`)

export const leasesLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  law("gives every free lease to whoever asks first, and nothing to the second", Effect.gen(function*() {
    const leases = yield* Leases
    const names = someNames(3)
    const mine = yield* leases.claim(names, "a", 60_000)
    assert.deepEqual(new Set(mine.map((lease) => lease.name)), new Set(names))
    assert.deepEqual(yield* leases.claim(names, "b", 60_000), [])
    const held = (yield* leases.holders).filter((holder) => names.includes(holder.name))
    assert(held.every((holder) => holder.owner === "a" && holder.remainingMs > 0 && holder.remainingMs <= 60_000))
  }))

  law("keeps the epoch while the owner stays, and raises it when the owner changes", Effect.gen(function*() {
    const leases = yield* Leases
    const names = someNames(1)
    const [first] = yield* leases.claim(names, "a", 60_000)
    assert.deepEqual(yield* leases.claim(names, "a", 60_000), [first])
    assert(first !== undefined)
    assert.deepEqual(yield* leases.renew([first], "a", 60_000), [first])
    yield* leases.resign([first], "a")
    const [second] = yield* leases.claim(names, "b", 60_000)
    assert(second !== undefined && second.epoch > first.epoch)
    assert.deepEqual(yield* leases.renew([first], "a", 60_000), [])
  }))

  law("starts a new epoch even for the same owner once it has resigned", Effect.gen(function*() {
    const leases = yield* Leases
    const names = someNames(1)
    const [first] = yield* leases.claim(names, "a", 60_000)
    assert(first !== undefined)
    yield* leases.resign([first], "a")
    assert.deepEqual((yield* leases.holders).filter((holder) => names.includes(holder.name)), [])
    const [again] = yield* leases.claim(names, "a", 60_000)
    assert(again !== undefined && again.epoch > first.epoch)
  }))

  law("lets an expired lease go to another", Effect.gen(function*() {
    const leases = yield* Leases
    const names = someNames(1)
    const [first] = yield* leases.claim(names, "a", 50)
    const claim = Effect.map(leases.claim(names, "b", 60_000), (claimed) => claimed.length === 1 && claimed)
    const [second] = yield* world().eventually("the lease expires", claim)
    assert(first !== undefined && second !== undefined && second.epoch > first.epoch)
    yield* leases.resign([first], "a")
    assert.deepEqual(yield* leases.renew([second], "b", 60_000), [second])
  }))

  law("forgets leases that ended long ago, those of the asked prefix only, and none that is held", Effect.gen(function*() {
    const leases = yield* Leases
    const prefix = `test/${random32()}/`
    const names = [`${prefix}ended`, `${prefix}held`, `other/${prefix}ended`]
    const held = yield* leases.claim(names, "a", 60_000)
    yield* leases.resign(held.filter(({ name }) => name.endsWith("ended")), "a")
    yield* leases.forget(prefix, 60_000)
    const again = yield* leases.claim(names, "a", 60_000)
    assert.deepEqual(again.map(({ name, epoch }) => [name, epoch]).toSorted(), [[names[0], 2n], [names[1], 1n], [names[2], 2n]].toSorted())
    yield* leases.resign(again.filter(({ name }) => name.endsWith("ended")), "a")
    yield* leases.forget(prefix, 0)
    const last = yield* leases.claim(names, "a", 60_000)
    assert.deepEqual(last.map(({ name, epoch }) => [name, epoch]).toSorted(), [[names[0], 1n], [names[1], 1n], [names[2], 3n]].toSorted())
  }))

  law("has one winner for each lease among many claimers", Effect.gen(function*() {
    const leases = yield* Leases
    for (let round = 0; round < 10; round += 1) {
      const names = someNames(16)
      const claim = (index: number) => leases.claim(index % 2 === 0 ? names : names.toReversed(), `owner-${index}`, 60_000)
      const claims = yield* Effect.all(Array.from({ length: 10 }, (_, index) => claim(index)), { concurrency: "unbounded" })
      const won = claims.flat().map((lease) => lease.name)
      assert.equal(won.length, names.length)
      assert.deepEqual(new Set(won), new Set(names))
    }
  }))
}
