/** An actor starts again whatever ended it, and ends only with its scope. */
import { Data, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, test } from "vitest"
import { placeOf, supervise } from "../../../actors/runtime/supervise.ts"
import { heardTelemetry } from "../support/heard-telemetry.ts"

class Outage extends Data.TaggedError("Outage")<{ readonly secret: string }> {}

/** `endings`: how each life ends; the life after the last one goes on for ever. */
const live = async (endings: ReadonlyArray<Effect.Effect<unknown, unknown>>) => {
  const telemetry = heardTelemetry()
  let lives = 0
  const work = Effect.suspend(() => endings[lives++] ?? Effect.never)
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* supervise("an actor", work)
        for (let turn = 0; turn < endings.length; turn++) yield* TestClock.adjust("500 millis")
      })
    ).pipe(Effect.provide(telemetry.layer), Effect.provide(TestClock.layer()))
  )
  return { telemetry, lives }
}

describe("supervise", () => {
  test("starts an actor again after a failure, and says its kind without quoting it", async () => {
    const { telemetry, lives } = await live([Effect.fail(new Outage({ secret: "postgres://user:password@host" }))])
    expect(lives).toBe(2)
    expect(telemetry.counted("actor_restarts")).toBe(1)
    expect(telemetry.warnings).toEqual([{ what: "an actor starts again", data: { actor: "an actor", error: "Outage" } }])
    expect(telemetry.errors).toEqual([])
  })

  test("starts an actor again after a defect, and pages somebody without quoting it", async () => {
    const { telemetry, lives } = await live([Effect.die(new TypeError("0xsecret"))])
    expect(lives).toBe(2)
    expect(telemetry.counted("actor_restarts")).toBe(1)
    expect(telemetry.errors).toHaveLength(1)
    expect(JSON.stringify(telemetry.errors)).toContain("TypeError")
    expect(JSON.stringify(telemetry.errors)).not.toContain("secret")
  })

  test("starts an actor again when something that it waited for was interrupted", async () => {
    const { telemetry, lives } = await live([Effect.interrupt])
    expect(lives).toBe(2)
    expect(telemetry.counted("actor_restarts")).toBe(1)
  })

  test("starts it again as often as it takes, and counts each time", async () => {
    const { telemetry, lives } = await live([Effect.fail("a"), Effect.die("b"), Effect.fail("c")])
    expect(lives).toBe(4)
    expect(telemetry.counted("actor_restarts")).toBe(3)
  })

  test("makes no pause after work that ended well", async () => {
    const { telemetry, lives } = await live([Effect.void, Effect.void, Effect.void])
    expect(lives).toBe(4)
    expect(telemetry.counted("actor_restarts")).toBe(0)
  })

  test("stops with its scope, in the middle of whatever it does, and is not counted as restarted", async () => {
    const telemetry = heardTelemetry()
    const scope = await Effect.runPromise(Scope.make())
    let isTidied = false
    const work = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (isTidied = true)))
    const fiber = await Effect.runPromise(Scope.provide(supervise("an actor", work), scope).pipe(Effect.provide(telemetry.layer)))
    await Effect.runPromise(Effect.andThen(Effect.yieldNow, Scope.close(scope, Exit.void)))
    const exit = await Effect.runPromise(Fiber.await(fiber))
    expect(Exit.isFailure(exit) && Exit.hasInterrupts(exit)).toBe(true)
    expect(isTidied).toBe(true)
    expect(telemetry.counted("actor_restarts")).toBe(0)
  })

  test("names the place of a defect, and keeps the sentence of an assertion only", () => {
    expect(placeOf(new RangeError("0xsecret"))).toMatch(/^RangeError .*supervise\.test\.ts/)
    expect(placeOf("0xsecret")).not.toContain("secret")
  })
})
