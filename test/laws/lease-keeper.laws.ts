/** What every LeaseKeeper promises: what it holds stays held while it lives and the ledger answers; what cannot be known is not trusted. */
import { Effect, type Layer } from "effect"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { LeaseTiming } from "../../src/ledger/keep-renewing.ts"
import { LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { eventually } from "../support/eventually.ts"
import { type LedgerWorld, random32 } from "../support/ledger-world.ts"

/** Shorter than in a gateway, in the same proportions: laws wait for real renewals. */
export const TEST_TIMING: LeaseTiming = { leaseMs: 3_000, renewMs: 700, safetyMs: 300 }
/** One renewal may be late by this much on a busy machine. */
const LATE_MS = 300

export const leaseKeeperLaws = (world: () => LedgerWorld, keeper: () => Layer.Layer<LeaseKeeper, never, Leases>): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger | LeaseKeeper>) =>
    test.concurrent(promise, () => world().run(Effect.scoped(Effect.provide(program, keeper()))))
  const { leaseMs, renewMs } = TEST_TIMING
  const someNames = (count: number): ReadonlyArray<string> => Array.from({ length: count }, () => `test/${random32()}`)
  const rowOf = (name: string) =>
    Effect.map(Leases.use((leases) => leases.holders), (holders) => holders.find((holder) => holder.name === name))
  const untilRow = (what: string, name: string, looks: (row: { readonly remainingMs: number } | undefined) => boolean, ms?: number) =>
    Effect.promise(() => eventually(what, async () => looks(await world().run(rowOf(name))), ms))

  describe("what it holds", () => {
    law("is what it got, trusted at once, under the ledger's epochs", Effect.gen(function*() {
      const [leases, keeps] = [yield* Leases, yield* LeaseKeeper]
      const [mine, theirs] = someNames(2)
      yield* leases.claim([theirs!], "another", 60_000)
      const held = yield* keeps.hold([mine!, theirs!], "me")
      assert.deepEqual(held.map(({ lease }) => lease), [{ name: mine, epoch: 1n }])
      assert(held[0]?.isTrusted())
    }))

    law("is renewed without being asked, and keeps its epoch and its trust", Effect.gen(function*() {
      const keeps = yield* LeaseKeeper
      const names = someNames(3)
      const held = yield* keeps.hold(names, "me")
      const isAged = (row: { readonly remainingMs: number } | undefined) => row !== undefined && row.remainingMs < leaseMs - LATE_MS
      const isFresh = (row: { readonly remainingMs: number } | undefined) => row !== undefined && row.remainingMs > leaseMs - LATE_MS
      for (const name of names) yield* untilRow("it has aged", name, isAged)
      for (const name of names) yield* untilRow("it is renewed", name, isFresh)
      assert.deepEqual((yield* rowOf(names[0]!))?.epoch, held[0]?.lease.epoch)
      assert(held.every((one) => one.isTrusted()))
    }))

    law("is given back at once and trusted no more, and others may have it", Effect.gen(function*() {
      const [leases, keeps] = [yield* Leases, yield* LeaseKeeper]
      const names = someNames(2)
      const [first, second] = yield* keeps.hold(names, "me")
      yield* keeps.giveBack([first!.lease.name], "me")
      assert.deepEqual([first?.isTrusted(), second?.isTrusted()], [false, true])
      const taken = yield* leases.claim(names, "another", 60_000)
      assert.deepEqual(taken, [{ name: first?.lease.name, epoch: first!.lease.epoch + 1n }])
    }))

    law("is not given back by somebody else", Effect.gen(function*() {
      const keeps = yield* LeaseKeeper
      const [held] = yield* keeps.hold(someNames(1), "me")
      yield* keeps.giveBack([held!.lease.name], "another")
      assert(held!.isTrusted())
      assert.equal((yield* rowOf(held!.lease.name))?.owner, "me")
    }))

    law("may be held again: the same epoch, and the older handle is trusted no more", Effect.gen(function*() {
      const keeps = yield* LeaseKeeper
      const names = someNames(1)
      const [older] = yield* keeps.hold(names, "me")
      const [newer] = yield* keeps.hold(names, "me")
      assert.deepEqual(newer?.lease, older?.lease)
      assert.deepEqual([older?.isTrusted(), newer?.isTrusted()], [false, true])
    }))

    law("is trusted no more once the ledger says that somebody else has it", Effect.gen(function*() {
      const keeps = yield* LeaseKeeper
      const [held] = yield* keeps.hold(someNames(1), "me")
      yield* Effect.promise(() => world().query("UPDATE lease SET owner = 'thief', epoch = epoch + 1 WHERE name = $1", [held!.lease.name]))
      yield* Effect.promise(() => eventually("it is told", async () => !held!.isTrusted()))
      assert.equal((yield* rowOf(held!.lease.name))?.owner, "thief")
    }))
  })

  law("renews nothing any more after its scope has closed", Effect.gen(function*() {
    const [held] = yield* LeaseKeeper.use((keeps) => keeps.hold(someNames(1), "me")).pipe(Effect.provide(keeper()))
    const later = (row: { readonly remainingMs: number } | undefined) => row !== undefined && row.remainingMs < leaseMs - renewMs - LATE_MS * 2
    yield* untilRow("a renewal was missed", held!.lease.name, later)
  }))
}
