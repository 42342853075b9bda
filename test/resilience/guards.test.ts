import { Data, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, test } from "vitest"
import { CALL_POLICIES, type CallPolicy } from "../../src/resilience/call-policy.ts"
import { TARGETS_MAX } from "../../src/resilience/guarded-target.ts"
import { type Call, type CallFault, CallRefused, CallTimedOut, type Guards, makeGuards } from "../../src/resilience/guards.ts"
import { BUDGET } from "../../src/resilience/retry-budget.ts"

class Down extends Data.TaggedError("Down")<{ readonly fault?: CallFault }> {}
class SaysNo extends Data.TaggedError("SaysNo") {}

const POLICY: CallPolicy = { ...CALL_POLICIES.rpc, timeoutMs: 1_000, slowMs: 500, volumeMin: 4, restMs: 1_000, concurrencyMax: 3, placeWaitMs: 0 }
const CALL: Call<Down | SaysNo, Down> = {
  dependency: "rpc",
  target: "one",
  method: "ask",
  policy: POLICY,
  isOutage: (error) => error._tag === "Down",
  unavailable: (fault) => new Down({ fault })
}

const inVirtualTime = <A, E>(use: (guards: Guards["Service"]) => Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.suspend(() => use(makeGuards())).pipe(Effect.provide(TestClock.layer())))

const faultOf = (answer: Result.Result<unknown, Down | SaysNo>) =>
  Result.isFailure(answer) && answer.failure._tag === "Down" ? answer.failure.fault : undefined

const breakIt = (guards: Guards["Service"]) =>
  Effect.forEach([1, 2, 3, 4], () => Effect.result(guards.guard(CALL)(Effect.fail(new Down({})))))

describe("a guarded call", () => {
  test("that hangs ends at its time limit, in the adapter's own words", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        const asked = yield* Effect.forkChild(Effect.result(guards.guard(CALL)(Effect.never)))
        yield* TestClock.adjust(POLICY.timeoutMs)
        expect(faultOf(yield* Fiber.join(asked))).toBeInstanceOf(CallTimedOut)
      })
    ))

  test("is not sent to a target that failed too often, and is told when to come back", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        yield* breakIt(guards)
        let sent = 0
        const refused = faultOf(yield* Effect.result(guards.guard(CALL)(Effect.sync(() => void sent++))))
        expect(sent).toBe(0)
        expect(refused).toBeInstanceOf(CallRefused)
        expect((refused as CallRefused).retryAfterMs).toBeGreaterThan(0)
        expect((refused as CallRefused).retryAfterMs).toBeLessThanOrEqual(POLICY.restMs)
      })
    ))

  test("of another method or target is not refused for it", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        yield* breakIt(guards)
        expect(yield* guards.guard({ ...CALL, method: "tell" })(Effect.succeed("told"))).toBe("told")
        expect(yield* guards.guard({ ...CALL, target: "two" })(Effect.succeed("asked"))).toBe("asked")
      })
    ))

  test("whose answer is a no speaks for the target, not against it", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        for (let count = 0; count < 20; count++) yield* Effect.result(guards.guard(CALL)(Effect.fail(new SaysNo())))
        expect((yield* guards.states).targets).toMatchObject([{ state: "closed", inWindow: { attempts: 20, failed: 0 } }])
      })
    ))

  test("that dies of our own mistake does not speak against the target", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        for (let count = 0; count < 9; count++) yield* Effect.exit(guards.guard(CALL)(Effect.die("a bug")))
        expect((yield* guards.states).targets).toMatchObject([{ state: "closed", inWindow: { attempts: 0 }, inFlight: 0 }])
      })
    ))

  test("that nobody waits for any more says something only when it was slow already", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        for (const patienceMs of [POLICY.slowMs - 1, POLICY.slowMs + 1]) {
          const asked = yield* Effect.forkChild(guards.guard(CALL)(Effect.never))
          yield* TestClock.adjust(patienceMs)
          yield* Fiber.interrupt(asked)
        }
        expect((yield* guards.states).targets).toMatchObject([{ inWindow: { attempts: 1, slow: 1 }, inFlight: 0 }])
      })
    ))

  test("beyond the target's limit is refused at once, and let in when a place is free", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        const hanging = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(guards.guard(CALL)(Effect.never)))
        yield* Effect.yieldNow
        expect(faultOf(yield* Effect.result(guards.guard({ ...CALL, method: "tell" })(Effect.void)))).toMatchObject({ why: "full" })
        yield* Fiber.interruptAll(hanging)
        yield* guards.guard({ ...CALL, method: "tell" })(Effect.void)
      })
    ))

  test("waits a little for a place where it may, in order, and no place is lost to those who gave up", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        const call = { ...CALL, policy: { ...POLICY, slowMs: 5_000, timeoutMs: 20_000, concurrencyMax: 1, placeWaitMs: 300 } }
        const took: Array<number> = []
        const ask = (name: number) =>
          Effect.forkChild(Effect.result(guards.guard(call)(Effect.andThen(Effect.sync(() => void took.push(name)), Effect.sleep(200)))))
        const crowd = yield* Effect.forEach([1, 2, 3, 4], ask)
        yield* TestClock.adjust(100)
        yield* Fiber.interrupt(yield* ask(5)).pipe(Effect.forkChild)
        yield* TestClock.adjust(500)
        expect(took).toEqual([1, 2])
        const answers = yield* Effect.forEach(crowd, (asked) => Fiber.join(asked))
        expect(answers.map(faultOf).map((fault) => fault?._tag)).toEqual([undefined, undefined, "CallRefused", "CallRefused"])
        yield* Effect.forEach([6, 7], ask)
        yield* TestClock.adjust(400)
        expect(took).toEqual([1, 2, 6, 7])
        expect((yield* guards.states).targets).toMatchObject([{ inFlight: 0 }])
      })
    ))

  test("that is vital is sent though its target rests, and its answer begins the recovery", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        yield* breakIt(guards)
        expect(yield* guards.guard({ ...CALL, isVital: true })(Effect.succeed("renewed"))).toBe("renewed")
        expect((yield* guards.states).targets).toMatchObject([{ state: "half-open" }])
      })
    ))
})

describe("a target that comes back", () => {
  test("is met by its probes and no flood, and is closed when they are good", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        const call = { ...CALL, policy: { ...POLICY, concurrencyMax: 1_000 } }
        yield* Effect.forEach([1, 2, 3, 4], () => Effect.result(guards.guard(call)(Effect.fail(new Down({})))))
        yield* TestClock.adjust(POLICY.restMs)
        let sent = 0
        const attempt = Effect.andThen(Effect.sync(() => void sent++), Effect.sleep(100))
        const crowd = yield* Effect.forEach(Array.from({ length: 500 }), () =>
          Effect.forkChild(Effect.result(guards.guard(call)(attempt)))
        )
        yield* TestClock.adjust(100)
        yield* Effect.forEach(crowd, (asked) => Fiber.join(asked))
        expect(sent).toBe(POLICY.probes)
        expect((yield* guards.states).targets).toMatchObject([{ state: "closed" }])
      })
    ))
})

describe("repetition", () => {
  const policy = { firstMs: 50, longestMs: 400, triesMax: 4, isWorthIt: () => true }

  test("of a total outage is bounded: the calls, a tenth of the successes, and the stock", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        let sent = 0
        const attempt = Effect.suspend(() => {
          sent += 1
          return Effect.fail(new Down({}))
        })
        const calls = 300
        const asked = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: calls }), () => Effect.result(guards.repeat("rpc", policy)(attempt)))
        )
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.join(asked)
        expect(sent).toBeGreaterThan(calls)
        expect(sent).toBeLessThanOrEqual(1.1 * calls + BUDGET.floor)
        expect(sent).toBeLessThanOrEqual(calls + BUDGET.floor)
      })
    ))

  test("waits longer each time, ends at its last try, and repeats nothing that is not worth it", () =>
    inVirtualTime((guards) =>
      Effect.gen(function* () {
        let sent = 0
        const attempt = (error: Down | SaysNo) => Effect.suspend(() => (sent++, Effect.fail(error)))
        const asked = yield* Effect.forkChild(Effect.result(guards.repeat("rpc", policy)(attempt(new Down({})))))
        yield* TestClock.adjust(50 + 100 + 200)
        expect(Result.isFailure(yield* Fiber.join(asked))).toBe(true)
        expect(sent).toBe(4)
        yield* Effect.result(guards.repeat("rpc", { ...policy, isWorthIt: (error: Down | SaysNo) => error._tag === "Down" })(attempt(new SaysNo())))
        expect(sent).toBe(5)
      })
    ))

  test("and hedges are paid from one purse", () =>
    inVirtualTime((guards) =>
      Effect.sync(() => {
        const allowed = Array.from({ length: 50 }, () => guards.mayHedge("kms-node")).filter(Boolean)
        expect(allowed).toHaveLength(BUDGET.floor)
      })
    ))
})

test("strangers who name ever new targets do not fill the memory, and a resting one is forgotten last", () =>
  inVirtualTime((guards) =>
    Effect.gen(function* () {
      yield* breakIt(guards)
      for (let count = 0; count < 2 * TARGETS_MAX; count++) yield* guards.guard({ ...CALL, target: `stranger ${count}` })(Effect.void)
      const { targets } = yield* guards.states
      expect(targets).toHaveLength(TARGETS_MAX)
      expect(targets.filter(({ state }) => state === "open").map(({ target }) => target)).toEqual(["one"])
    })
  ))

test("what an answer usually takes at most is known after some answers", () =>
  inVirtualTime((guards) =>
    Effect.gen(function* () {
      for (let count = 1; count <= 20; count++) {
        expect(guards.p95Ms(CALL)).toBeUndefined()
        const asked = yield* Effect.forkChild(guards.guard(CALL)(Effect.sleep(count * 10)))
        yield* TestClock.adjust(count * 10)
        yield* Fiber.join(asked)
      }
      expect(guards.p95Ms(CALL)).toBeGreaterThanOrEqual(190)
      expect(guards.p95Ms(CALL)).toBeLessThan(210)
    })
  ))
