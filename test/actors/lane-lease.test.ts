/** Who stops driving a lane leaves it to the others at once, whatever it was doing. */
import { Deferred, Duration, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { expect, test } from "vitest"
import { laneActor, makeBell } from "../../actors/6-submitted.actor.ts"
import { LEASE_MS } from "../../src/domain/limits.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

const LANE = { chainId: 1n, address: `0x${"11".repeat(20)}` } as const

const unused = <Service>() => ({}) as Service

const laneServices = (hold: LeaseKeeper["Service"]["hold"], giveBack: LeaseKeeper["Service"]["giveBack"], ledger: Partial<LaneLedger["Service"]> = {}) =>
  Layer.mergeAll(
    Layer.succeed(LeaseKeeper, { hold, giveBack }),
    Layer.succeed(LaneLedger, ledger as LaneLedger["Service"]),
    Layer.succeed(RequestLedger, unused<RequestLedger["Service"]>()),
    Layer.succeed(ResultLedger, unused<ResultLedger["Service"]>()),
    Layer.succeed(ResultContract, unused<ResultContract["Service"]>()),
    Layer.succeed(Bus, unused<Bus["Service"]>()),
    Layer.succeed(Telemetry, { ...unused<Telemetry["Service"]>(), count: () => undefined, warn: () => undefined, gauge: () => undefined })
  )

test("a lane is given back after the round that was claiming it has ended", async () => {
  const said: Array<string> = []
  const isClaiming = Deferred.makeUnsafe<void>()
  const lease = { name: "lane", epoch: 1n }
  const services = laneServices(
    () =>
      Effect.suspend(() => {
        if (Deferred.isDoneUnsafe(isClaiming)) return Effect.succeed([{ lease, isTrusted: () => true }])
        Deferred.doneUnsafe(isClaiming, Effect.void)
        return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void said.push("the round ended")))
      }),
    () => Effect.sync(() => void said.push("given back"))
  )
  const scope = await Effect.runPromise(Scope.make())
  await Effect.runPromise(
    laneActor(LANE, { owner: "worker", bell: makeBell() }).pipe(Effect.andThen(Deferred.await(isClaiming)), Effect.provide(services), Scope.provide(scope))
  )
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(said).toEqual(["the round ended", "given back"])
})

test("a round that takes three times as long as a lease comes to its end", async () => {
  const seen = { begun: 0, ended: 0 }
  const services = laneServices(
    () => Effect.succeed([{ lease: { name: "lane", epoch: 1n }, isTrusted: () => true }]),
    () => Effect.void,
    {
      // As long as a lane with many open nonces needs at a slow endpoint.
      open: () =>
        Effect.suspend(() => {
          seen.begun++
          return Effect.sleep(Duration.millis(3 * LEASE_MS)).pipe(Effect.andThen(Effect.sync(() => seen.ended++)), Effect.andThen(Effect.never))
        })
    }
  )
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* laneActor(LANE, { owner: "worker", bell: makeBell() })
        for (let seconds = 0; seconds < 31; seconds++) yield* TestClock.adjust("1 second")
      })
    ).pipe(Effect.provide(services), Effect.provide(TestClock.layer()))
  )
  expect(seen).toEqual({ begun: 1, ended: 1 })
})
