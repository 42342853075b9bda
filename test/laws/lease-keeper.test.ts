/** Both keepers are held to the same law; and what only the thread can do: renew while the loop computes, and stop when the loop is dead. */
import { Effect, Layer } from "effect"
import type { Worker } from "node:worker_threads"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { fiberLeaseKeeper } from "../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { threadLeaseKeeper, type ThreadLeaseKeeperOptions } from "../../src/adapters/postgres/thread-lease-keeper.layer.ts"
import { LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { eventually } from "../support/eventually.ts"
import { type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { leaseKeeperLaws, TEST_TIMING } from "./lease-keeper.laws.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

const onThread = (given: Partial<ThreadLeaseKeeperOptions> = {}) => {
  const telemetry = heardTelemetry()
  const database = { connection: world.server.address, applicationName: "portcullis-test-renewal" }
  return { telemetry, layer: threadLeaseKeeper({ database, timing: TEST_TIMING, ...given }).pipe(Layer.provide(telemetry.layer)) }
}

describe("a keeper in a fiber", () => leaseKeeperLaws(() => world, () => fiberLeaseKeeper({ timing: TEST_TIMING })))
describe("a keeper on a thread", () => leaseKeeperLaws(() => world, () => onThread().layer))

const { leaseMs, renewMs } = TEST_TIMING

/** Computes without ever giving way, as a pairing in a loop would. */
const block = (ms: number): void => {
  const end = performance.now() + ms
  while (performance.now() < end);
}

const remaining = (name: string) =>
  Effect.map(Leases.use((leases) => leases.holders), (all) => all.find((holder) => holder.name === name)?.remainingMs ?? 0)

/** The thread has to be up before the loop is blocked: it is started through this loop, and on a busy machine that takes seconds. */
const renewedOnce = (name: string) =>
  Effect.promise(async () => {
    await eventually("it ages", async () => (await world.run(remaining(name))) < leaseMs - 300)
    await eventually("it is renewed", async () => (await world.run(remaining(name))) > leaseMs - 300)
  })

describe("the thread", () => {
  test("renews while the event loop is blocked, and the loop believes in its leases the moment it wakes up", () => {
    const name = `test/${random32()}`
    return world.run(
      Effect.gen(function* () {
        const [held] = yield* LeaseKeeper.use((keeps) => keeps.hold([name], "busy"))
        yield* renewedOnce(name)
        block(leaseMs + 500)
        expect(held?.isTrusted()).toBe(true)
        expect(yield* remaining(name)).toBeGreaterThan(leaseMs - renewMs - 500)
      }).pipe(Effect.provide(onThread().layer))
    )
  })

  test("stops renewing for a loop that is dead, and says so when it comes back", () => {
    const name = `test/${random32()}`
    const { layer, telemetry } = onThread({ silentMsMax: 600 })
    return world.run(
      Effect.gen(function* () {
        const [held] = yield* LeaseKeeper.use((keeps) => keeps.hold([name], "dead"))
        yield* renewedOnce(name)
        block(leaseMs + 1_000)
        expect(held?.isTrusted()).toBe(false)
        expect(yield* remaining(name)).toBe(0)
        yield* Effect.promise(() => eventually("it is said", async () => telemetry.warnings.length > 0))
        expect(telemetry.warnings[0]?.what).toContain("silent")
      }).pipe(Effect.provide(layer))
    )
  })

  test("that dies is replaced before its leases are lost, and that is said", () => {
    const name = `test/${random32()}`
    const threads: Array<Worker> = []
    const { layer, telemetry } = onThread({ onThread: (thread) => void threads.push(thread) })
    return world.run(
      Effect.gen(function* () {
        const [held] = yield* LeaseKeeper.use((keeps) => keeps.hold([name], "hurt"))
        yield* Effect.promise(() => threads[0]!.terminate())
        yield* Effect.promise(() => eventually("another is started", async () => threads.length === 2))
        expect(telemetry.warnings.map(({ what }) => what)).toEqual(["the thread that renews leases died and is started again"])
        yield* renewedOnce(name)
        expect(held?.isTrusted()).toBe(true)
      }).pipe(Effect.provide(layer))
    )
  })

  test("leaves nothing trusted when it cannot reach the ledger for as long as a lease lasts", () => {
    const name = `test/${random32()}`
    const nowhere = { connection: { ...world.server.address, port: 1 }, applicationName: "portcullis-test-renewal" }
    const { layer, telemetry } = onThread({ database: nowhere })
    return world.run(
      Effect.gen(function* () {
        const [held] = yield* LeaseKeeper.use((keeps) => keeps.hold([name], "cut off"))
        expect(held?.isTrusted()).toBe(true)
        yield* Effect.promise(() => eventually("its window is over", async () => !held!.isTrusted()))
        yield* Effect.promise(() => eventually("it is said", async () => telemetry.warnings.length > 1))
        expect(telemetry.warnings.every(({ what }) => what === "leases not renewed")).toBe(true)
      }).pipe(Effect.provide(layer))
    )
  })
})
