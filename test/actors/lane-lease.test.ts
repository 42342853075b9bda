/** Who stops driving a lane leaves it to the others at once, whatever it was doing. */
import { Deferred, Effect, Exit, Layer, Scope } from "effect"
import { expect, test } from "vitest"
import { laneActor, makeBell } from "../../actors/6-submitted.actor.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

const LANE = { chainId: 1n, address: `0x${"11".repeat(20)}` } as const

test("a lane is given back after the round that was claiming it has ended", async () => {
  const said: Array<string> = []
  const isClaiming = Deferred.makeUnsafe<void>()
  const lease = { name: "lane", epoch: 1n }
  const unused = <Service>() => ({}) as Service
  const services = Layer.mergeAll(
    Layer.succeed(LeaseKeeper, {
      hold: () =>
        Effect.suspend(() => {
          if (Deferred.isDoneUnsafe(isClaiming)) return Effect.succeed([{ lease, isTrusted: () => true }])
          Deferred.doneUnsafe(isClaiming, Effect.void)
          return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void said.push("the round ended")))
        }),
      giveBack: () => Effect.sync(() => void said.push("given back"))
    }),
    Layer.succeed(LaneLedger, unused<LaneLedger["Service"]>()),
    Layer.succeed(RequestLedger, unused<RequestLedger["Service"]>()),
    Layer.succeed(ResultLedger, unused<ResultLedger["Service"]>()),
    Layer.succeed(ResultContract, unused<ResultContract["Service"]>()),
    Layer.succeed(Bus, unused<Bus["Service"]>()),
    Layer.succeed(Telemetry, unused<Telemetry["Service"]>())
  )
  const scope = await Effect.runPromise(Scope.make())
  await Effect.runPromise(
    laneActor(LANE, { owner: "worker", bell: makeBell() }).pipe(Effect.andThen(Deferred.await(isClaiming)), Effect.provide(services), Scope.provide(scope))
  )
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(said).toEqual(["the round ended", "given back"])
})
