/**
 * Around every call that leaves this process: a breaker for each target and method, a limit for each target, a time limit for
 * each attempt, and one budget for each dependency from which repetitions and hedges are paid. Adapters turn a refusal into
 * their own "unavailable", so that nobody above them learns a new kind of failure.
 */
import { Cause, Clock, Context, Effect, Exit, Layer, Option, Random, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"
import { type CounterName, Telemetry } from "../telemetry/telemetry.port.ts"
import { backoffMs, type BackoffPolicy } from "./backoff.ts"
import { admit, report, restLeftMs, type Ticket, type Verdict } from "./breaker.ts"
import { CALL_POLICIES, type CallPolicy, DEPENDENCIES, type Dependency, type Target } from "./call-policy.ts"
import { GuardedTargets, type Guarded, type GuardState, QUANTILE_SAMPLES_MIN, stateOf } from "./guarded-target.ts"
import { observe, quantile } from "./latency-quantile.ts"
import { monotonicMsOf } from "./monotonic.ts"
import { Places } from "./places.ts"
import { BUDGET, earn, fullBudget, left, type RetryBudget, spend } from "./retry-budget.ts"

const where = { dependency: Schema.Literals(DEPENDENCIES), target: Schema.String, method: Schema.String }

/** Nothing was sent. `resting`: too much failed a moment ago; `full`: too many attempts on this target are under way. */
export class CallRefused extends Schema.TaggedError<CallRefused>()("CallRefused", {
  ...where,
  why: Schema.Literals(["resting", "full"]),
  retryAfterMs: Schema.Int
}) {
  readonly fate: Fate = "retry"
  override get message() {
    return this.why === "resting"
      ? `${this.dependency} ${this.target} is left alone for ${this.retryAfterMs} ms after too many failures (${this.method})`
      : `too many calls to ${this.dependency} ${this.target} are under way (${this.method})`
  }
}

/** No answer within the time limit. Whether the other side did what it was asked is not known. */
export class CallTimedOut extends Schema.TaggedError<CallTimedOut>()("CallTimedOut", { ...where, afterMs: Schema.Int }) {
  readonly fate: Fate = "retry"
  override get message() {
    return `no answer from ${this.dependency} ${this.target} within ${this.afterMs} ms (${this.method})`
  }
}

export type CallFault = CallRefused | CallTimedOut

export interface Call<E, Unavailable> extends Target {
  /** The dependency's own (call-policy.ts) unless given. */
  readonly policy?: CallPolicy
  /** Sent whatever is believed of the target; its outcome counts all the same. For what is worse than a failure when left out. */
  readonly isVital?: boolean
  /**
   * Whether this failure is the target's: no connection, no answer, 5xx, 429. What the target answered (a revert, "not found", a
   * refusal, a wrong signature) is not, however little we like it.
   */
  readonly isOutage: (error: E) => boolean
  /** The adapter's own word for "could not be asked". */
  readonly unavailable: (fault: CallFault) => Unavailable
}

/** One attempt that was let through. The first verdict counts, later ones are ignored. */
export interface Entered {
  readonly leave: (verdict: "good" | "bad" | "abandoned") => void
}

export interface Resilience {
  readonly targets: ReadonlyArray<GuardState>
  /** Repetitions and hedges that may be spent now. */
  readonly budgets: Readonly<Record<Dependency, number>>
}

export class Guards extends Context.Service<
  Guards,
  {
    /** One attempt: limited, timed, judged. */
    readonly guard: <E, Unavailable>(
      call: Call<E, Unavailable>
    ) => <A, Known extends E, R>(attempt: Effect.Effect<A, Known, R>) => Effect.Effect<A, Known | Unavailable, R>
    /** For what is no single effect (a stream): whoever enters must leave. */
    readonly enter: <E, Unavailable>(call: Call<E, Unavailable>) => Effect.Effect<Entered, Unavailable>
    /** Repeats what failed while the budget of the dependency pays for it. At one layer only. */
    readonly repeat: <E>(
      dependency: Dependency,
      policy: BackoffPolicy & { readonly triesMax: number; readonly isWorthIt: (error: E) => boolean }
    ) => <A, Known extends E, R>(attempt: Effect.Effect<A, Known, R>) => Effect.Effect<A, Known, R>
    /** Takes one hedge from the budget; false when there is none left. */
    readonly mayHedge: (dependency: Dependency) => boolean
    /** How long an answer of this target usually takes at most; undefined before enough were measured. Milliseconds. */
    readonly p95Ms: (of: Target) => number | undefined
    readonly states: Effect.Effect<Resilience>
  }
>()("portcullis/resilience/Guards") {}

interface Watch {
  readonly count: (name: CounterName, by: number, label: string) => void
  readonly gauge: (name: "breakers_not_closed", value: number, label: string) => void
  readonly warn: (what: string, data: Readonly<Record<string, string | number>>) => void
}
const NOBODY: Watch = { count: () => undefined, gauge: () => undefined, warn: () => undefined }

/** How soon to come back when a target has its hands full. */
const FULL_RETRY_MS = 200

export const makeGuards = (watch: Watch = NOBODY): Guards["Service"] => {
  const known = new GuardedTargets()
  const places = new Map<string, Places>()
  const budgets = new Map<Dependency, RetryBudget>()
  const budgetOf = (dependency: Dependency): RetryBudget => budgets.get(dependency) ?? fullBudget()

  const settle = (of: Guarded, policy: CallPolicy, ticket: Ticket, verdict: Verdict, nowMs: number, chance: number): void => {
    const before = of.breaker.state
    of.breaker = report(policy, of.breaker, ticket, verdict, nowMs, chance)
    if (verdict === "good") budgets.set(of.dependency, earn(BUDGET, budgetOf(of.dependency)))
    if (verdict === "bad") {
      of.failures += 1
      watch.count("wire_failures", 1, of.dependency)
    }
    if (of.breaker.state !== before) announce(of, before)
  }

  const announce = (of: Guarded, from: string): void => {
    const { dependency, target, method, breaker } = of
    watch.warn("circuit breaker", { dependency, target, method, from, to: breaker.state })
    const notClosed = known.all().filter((one) => one.dependency === dependency && one.breaker.state !== "closed").length
    watch.gauge("breakers_not_closed", notClosed, dependency)
  }

  const placesOf = (of: Target): Places => {
    const key = `${of.dependency} ${of.target}`
    const found = places.get(key) ?? new Places()
    places.set(key, found)
    return found
  }

  const enter = <E, Unavailable>(call: Call<E, Unavailable>): Effect.Effect<Entered, Unavailable> =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const chance = yield* Random.next
      const { dependency, target, method } = call
      const policy = call.policy ?? CALL_POLICIES[dependency]
      const of = known.of(call, policy, monotonicMsOf(clock))
      const refused = (why: CallRefused["why"], retryAfterMs: number) => {
        of.refusals += 1
        watch.count("calls_refused", 1, dependency)
        return Effect.fail(call.unavailable(new CallRefused({ dependency, target, method, why, retryAfterMs })))
      }
      const restMs = call.isVital === true ? 0 : restLeftMs(of.breaker, monotonicMsOf(clock))
      if (restMs > 0) return yield* refused("resting", restMs)
      const at = placesOf(call)
      of.inFlight += 1
      if (call.isVital === true) at.force()
      else if (!(yield* at.take(policy.concurrencyMax, policy.placeWaitMs))) {
        of.inFlight -= 1
        return yield* refused("full", FULL_RETRY_MS)
      }
      const goOut = () => {
        of.inFlight -= 1
        at.leave()
        if (at.isEmpty) places.delete(`${dependency} ${target}`)
      }
      const sinceMs = monotonicMsOf(clock)
      const before = of.breaker.state
      const admission = admit(policy, of.breaker, sinceMs, chance, call.isVital)
      of.breaker = admission.breaker
      if (of.breaker.state !== before) announce(of, before)
      if (admission.ticket === undefined) {
        goOut()
        return yield* refused("resting", admission.retryAfterMs)
      }
      const { ticket } = admission
      of.attempts += 1
      watch.count("wire_attempts", 1, dependency)
      let isInside = true
      return {
        leave: (verdict) => {
          if (!isInside) return
          isInside = false
          goOut()
          const nowMs = monotonicMsOf(clock)
          const tookMs = nowMs - sinceMs
          if (verdict === "good") of.latencies = observe(of.latencies, tookMs)
          // Whoever gave up after so long has measured something, though no answer came.
          const isSlow = tookMs > policy.slowMs && verdict !== "bad"
          settle(of, policy, ticket, isSlow ? "slow" : verdict, nowMs, chance)
        }
      } satisfies Entered
    }).pipe(Effect.uninterruptible)

  return Guards.of({
    enter,
    guard: (call) => (attempt) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(enter(call), ({ leave }) => {
          const { dependency, target, method } = call
          const { timeoutMs: afterMs } = call.policy ?? CALL_POLICIES[dependency]
          let isTimedOut = false
          return restore(
            Effect.timeoutOrElse(attempt, {
              duration: afterMs,
              orElse: () => {
                isTimedOut = true
                return Effect.fail(call.unavailable(new CallTimedOut({ dependency, target, method, afterMs })))
              }
            })
          ).pipe(
            Effect.onExit((exit) =>
              Effect.sync(() => leave(isTimedOut ? "bad" : verdictOf(exit, (error) => call.isOutage(error as never))))
            )
          )
        })
      ),
    repeat: (dependency, { triesMax, isWorthIt, ...backoff }) => (attempt) => {
      const tryAgain = (tries: number): typeof attempt =>
        Effect.catch(attempt, (error) =>
          Effect.suspend(() => {
            if (tries >= triesMax || !isWorthIt(error)) return Effect.fail(error)
            const rest = spend(budgetOf(dependency))
            if (rest === undefined) {
              watch.count("retries_denied", 1, dependency)
              return Effect.fail(error)
            }
            budgets.set(dependency, rest)
            watch.count("retries_spent", 1, dependency)
            return Effect.flatMap(Random.next, (chance) =>
              Effect.andThen(Effect.sleep(backoffMs(backoff, tries, chance)), tryAgain(tries + 1))
            )
          })
        )
      return tryAgain(1)
    },
    mayHedge: (dependency) => {
      const rest = spend(budgetOf(dependency))
      if (rest !== undefined) budgets.set(dependency, rest)
      return rest !== undefined
    },
    p95Ms: (of) => {
      const found = known.peek(of)
      return found === undefined ? undefined : quantile(found.latencies, 0.95, QUANTILE_SAMPLES_MIN)
    },
    states: Effect.map(Clock.Clock, (clock) => ({
      targets: known.all().map((one) => stateOf(one, monotonicMsOf(clock))),
      budgets: Object.fromEntries(DEPENDENCIES.map((name) => [name, left(budgetOf(name))])) as Record<Dependency, number>
    }))
  })
}

/** An interruption says nothing, and a defect is a bug of ours: neither speaks against the target. */
const verdictOf = (exit: Exit.Exit<unknown, unknown>, isOutage: (error: unknown) => boolean): "good" | "bad" | "abandoned" => {
  if (Exit.isSuccess(exit)) return "good"
  const failed = exit.cause.reasons.find(Cause.isFailReason)
  if (failed === undefined) return "abandoned"
  return isOutage(failed.error) ? "bad" : "good"
}

/** One for a whole process, told to `Telemetry` where there is one. */
export const guardsLayer: Layer.Layer<Guards> = Layer.effect(
  Guards,
  Effect.map(Effect.serviceOption(Telemetry), (telemetry) => makeGuards(Option.getOrUndefined(telemetry)))
)

/** The process's guards; where nobody provides them (a test of one adapter), guards of the adapter's own. Never none. */
export const guardsHere: Effect.Effect<Guards["Service"]> = Effect.map(
  Effect.serviceOption(Guards),
  Option.getOrElse(() => makeGuards())
)
