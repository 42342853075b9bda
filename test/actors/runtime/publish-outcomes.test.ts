import { Deferred, Effect, Fiber } from "effect"
import { expect, test } from "vitest"
import { type AddressedOutcome, gatherOutcomes, Gathered, publishOutcomes } from "../../../actors/runtime/publish-outcomes.ts"
import { Bus, BusUnavailable } from "../../../src/messaging/bus.port.ts"
import { decodeOutcomes } from "../../../src/messaging/envelope.ts"

const outcome = (id: number, partition = 0): AddressedOutcome => ({
  partition,
  item: {
    ...{ requestId: `0x${id.toString(16).padStart(64, "0")}`, version: 1, reached: "detected" },
    outcome: { type: "expired", detail: "too late" }
  }
})

/** A bus whose messages are confirmed when the test says so. */
const slowBus = () => {
  const sent: Array<{ readonly subject: string; readonly ids: ReadonlyArray<number>; readonly confirm: Effect.Effect<unknown>; readonly fail: Effect.Effect<unknown> }> = []
  const bus = {
    publish: (subject: string, body: Uint8Array) =>
      Effect.gen(function* () {
        const answer = yield* Deferred.make<void, BusUnavailable>()
        const ids = (yield* Effect.orDie(decodeOutcomes(body))).items.map(({ requestId }) => Number(requestId))
        const failure = new BusUnavailable({ doing: "publish", cause: "nobody there" })
        sent.push({ subject, ids, confirm: Deferred.succeed(answer, undefined), fail: Deferred.fail(answer, failure) })
        yield* Deferred.await(answer)
      })
  }
  return { sent, bus: bus as unknown as Bus["Service"] }
}

const gathering = <A>(body: (bus: ReturnType<typeof slowBus>, say: (...all: ReadonlyArray<AddressedOutcome>) => Effect.Effect<Fiber.Fiber<void, BusUnavailable>>) => Effect.Effect<A>) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const world = slowBus()
        const gathered = yield* Effect.provideService(gatherOutcomes, Bus, world.bus)
        const say = (...all: ReadonlyArray<AddressedOutcome>) =>
          publishOutcomes(all).pipe(
            Effect.provideService(Bus, world.bus),
            Effect.provideService(Gathered, gathered),
            Effect.forkChild,
            Effect.tap(settled)
          )
        return yield* body(world, say)
      })
    )
  )

/** All fibers that can go on have gone on: nothing here waits for anything but its turn. */
const settled = Effect.promise(async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((done) => setImmediate(done))
})

test("the first goes at once; what is said while it is on its way goes together, to each partition by itself", () =>
  gathering(({ sent }, say) =>
    Effect.gen(function* () {
      const first = yield* say(outcome(1), outcome(2, 3))
      const later = [yield* say(outcome(4)), yield* say(outcome(5), outcome(6))]
      expect(sent.map(({ subject, ids }) => [subject, ids])).toEqual([
        ["decryption.outcome.0", [1]],
        ["decryption.outcome.3", [2]]
      ])
      yield* sent[0]!.confirm
      yield* sent[1]!.confirm
      yield* Fiber.join(first)
      yield* settled
      expect(sent.slice(2).map(({ ids }) => ids)).toEqual([[4, 5, 6]])
      yield* sent[2]!.confirm
      yield* Effect.forEach(later, Fiber.join)
    }).pipe(Effect.orDie)
  ))

test("all who share a message that fails hear of it, and the next message is tried", () =>
  gathering(({ sent }, say) =>
    Effect.gen(function* () {
      const first = yield* say(outcome(1))
      const shared = [yield* say(outcome(2)), yield* say(outcome(3))]
      yield* sent[0]!.confirm
      yield* Fiber.join(first)
      yield* settled
      yield* sent[1]!.fail
      for (const fiber of shared) expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "BusUnavailable" })
      const next = yield* say(outcome(4))
      expect(sent[2]!.ids).toEqual([4])
      yield* sent[2]!.confirm
      yield* Fiber.join(next)
    }).pipe(Effect.orDie)
  ))
