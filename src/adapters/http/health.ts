/**
 * How well the gateway and what it depends on are, as numbers and words that a probe can act on. A check that hangs, fails or
 * dies is an answer too: "down". What went wrong inside is for the log; here stands a sentence without addresses, keys or
 * messages of drivers.
 */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { redactText } from "../../telemetry/redaction.ts"

/** Worst last. `degraded`: it works, and one more failure would end that. */
export const STATUSES = ["up", "degraded", "down"] as const
export type Status = (typeof STATUSES)[number]

export const PARTS = ["kms", "database", "blockchain", "nats"] as const
export type Part = (typeof PARTS)[number]

export interface Finding {
  readonly status: Status
  readonly detail: string
}

export interface PartHealth extends Finding {
  readonly latencyMs: number
}

/** Failures need a tag and nothing else: only the tag is shown. */
export type HealthCheck = Effect.Effect<Finding, { readonly _tag: string }>
export type HealthChecks = Readonly<Record<Part, HealthCheck>>

export type Health = Readonly<Record<Part, PartHealth>> & { readonly overall: Status }

export interface HealthBounds {
  /** A part that has not answered by then is down. */
  readonly timeoutMs: number
  /** An answer this young is given again: any number of probes costs a dependency one question. */
  readonly keptMs: number
}

/**
 * A probe gives up after a second or more by default (Kubernetes: 1 s, Prometheus: 10 s); half of a lease would be missed by
 * then.
 */
export const HEALTH_BOUNDS: HealthBounds = { timeoutMs: 2_000, keptMs: 1_000 }

/** k of n nodes must answer for anything to be decrypted; with fewer than n there is less to lose. */
export const kmsFinding = (of: { readonly answering: number; readonly nodes: number; readonly threshold: number }): Finding => {
  const { answering, nodes, threshold } = of
  const detail = `${answering} of ${nodes} nodes answer, ${threshold} are needed`
  if (threshold < 1 || answering < threshold) return { status: "down", detail }
  return { status: answering < nodes ? "degraded" : "up", detail }
}

/** Up when it answers at all. */
export const upWhenAnswered = (ping: Effect.Effect<unknown, { readonly _tag: string }>, detail = "answers"): HealthCheck =>
  Effect.as(ping, { status: "up", detail })

export const worstOf = (findings: ReadonlyArray<Finding>): Status =>
  STATUSES[Math.max(0, ...findings.map(({ status }) => STATUSES.indexOf(status)))] ?? "down"

/**
 * Asks all parts at once; never longer than `timeoutMs`. Checks run on their own, so that no probe that hangs up can stop one
 * half-way.
 */
export const watchHealth = Effect.fnUntraced(function* (
  checks: HealthChecks,
  bounds: HealthBounds = HEALTH_BOUNDS
): Effect.fn.Return<Effect.Effect<Health>, never, Scope.Scope> {
  const [kms, database, blockchain, nats] = yield* Effect.all([
    watchPart(checks.kms, bounds),
    watchPart(checks.database, bounds),
    watchPart(checks.blockchain, bounds),
    watchPart(checks.nats, bounds)
  ])
  return Effect.map(Effect.all({ kms, database, blockchain, nats }, { concurrency: "unbounded" }), (parts) => ({
    ...parts,
    overall: worstOf(Object.values(parts))
  }))
})

/** One question at a time: while an earlier one hangs, and even ignores being interrupted, no second is asked. */
const watchPart = Effect.fnUntraced(function* (check: HealthCheck, { timeoutMs, keptMs }: HealthBounds) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  let kept: { readonly health: PartHealth; readonly atMs: number } | undefined
  let asked: { readonly fiber: ReturnType<typeof start>; readonly sinceMs: number } | undefined
  const start = () => run(check)
  // Not awaited: a check that cannot be interrupted must not keep the process from ending.
  yield* Effect.addFinalizer(() => Effect.sync(() => asked?.fiber.interruptUnsafe()))

  const ask = (nowMs: number) => {
    if (asked !== undefined) return asked
    const now = { fiber: start(), sinceMs: nowMs }
    asked = now
    now.fiber.addObserver(() => {
      asked = undefined
    })
    return now
  }

  const keep = ({ status, detail }: Finding, sinceMs: number, nowMs: number): PartHealth => {
    const health = { status, detail: redactText(detail), latencyMs: Math.max(0, nowMs - sinceMs) }
    kept = { health, atMs: nowMs }
    return health
  }

  return Effect.gen(function* () {
    const startMs = yield* monotonicMs
    if (kept !== undefined && startMs - kept.atMs < keptMs) return kept.health
    const { fiber, sinceMs } = ask(startMs)
    const leftMs = Math.max(0, sinceMs + timeoutMs - startMs)
    const exit = yield* Fiber.await(fiber).pipe(
      Effect.timeoutOrElse({ duration: leftMs, orElse: () => Effect.succeed("silent" as const) })
    )
    const nowMs = yield* monotonicMs
    if (exit !== "silent") return keep(findingOf(exit), sinceMs, nowMs)
    fiber.interruptUnsafe()
    return keep({ status: "down", detail: `no answer within ${timeoutMs} ms` }, sinceMs, nowMs)
  })
})

const findingOf = (exit: Exit.Exit<Finding, { readonly _tag: string }>): Finding => {
  if (Exit.isSuccess(exit)) return exit.value
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  return { status: "down", detail: reason === undefined ? "the check itself failed" : reason.error._tag }
}
