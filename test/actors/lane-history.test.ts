/** What is final is forgotten in small portions, by one node at a time. */
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { expect, test } from "vitest"
import { laneHistoryActor } from "../../actors/lane-history.actor.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { heardTelemetry } from "./support/heard-telemetry.ts"

const MINUTE_MS = 60_000

/** A ledger with so many portions of old rows, and a lease that is free or somebody else's. */
const history = (portions: number, isFree = true) => {
  const said: Array<string> = []
  const telemetry = heardTelemetry()
  let left = portions
  const layer = Layer.mergeAll(
    Layer.succeed(Leases, {
      claim: () => Effect.sync(() => (isFree ? [{ name: "lane-history/1", epoch: 1n }] : [])),
      resign: () => Effect.sync(() => void said.push("resigned"))
    } as unknown as Leases["Service"]),
    Layer.succeed(ResultContract, { chainId: 1n } as ResultContract["Service"]),
    Layer.succeed(LaneLedger, {
      forget: (_lease: unknown, _chain: unknown, _memory: unknown, limit: number) =>
        Effect.sync(() => {
          said.push("forgot")
          return left-- > 0 ? limit : 0
        })
    } as unknown as LaneLedger["Service"]),
    telemetry.layer
  )
  const after = (minutes: number) =>
    Effect.gen(function* () {
      const running = yield* Effect.forkChild(Effect.scoped(Effect.andThen(laneHistoryActor({ owner: "node" }), Effect.never)))
      yield* TestClock.adjust(minutes * MINUTE_MS)
      yield* Fiber.interrupt(running)
      return said
    }).pipe(Effect.provide(layer), Effect.provide(TestClock.layer()), Effect.runPromise)
  return { after, counted: () => telemetry.counted("lane_history_forgotten") }
}

test("until nothing is left, and the lease is given back", async () => {
  const { after, counted } = history(2)
  expect(await after(11)).toEqual(["forgot", "forgot", "forgot", "resigned"])
  expect(counted()).toBe(1_000)
})

test("no more at once than is good for those who send; the rest goes the next time", async () => {
  const said = await history(100).after(21)
  expect(said.filter((word) => word === "forgot")).toHaveLength(40)
  expect(said.filter((word) => word === "resigned")).toHaveLength(2)
})

test("by nobody who has not the lease", async () => {
  expect(await history(2, false).after(31)).toEqual([])
})
