/** A node's life in the cluster: it says once a second that it lives and in which state, and hears in the answer what is paused and whether an
 * operator wants it to drain. Nobody's right to write depends on this; that is what leases are for. */
import { Cause, Clock, Duration, Effect, Exit, Schedule, type Scope } from "effect"
import { ALL_ROLES, takesRole, type NodeState } from "../../src/domain/cluster.ts"
import { NODE_BEAT_MS, NODE_BEAT_TIMEOUT_MS } from "../../src/domain/limits.ts"
import { Cluster, type NodeLife, type Pause } from "../../src/ledger/cluster.port.ts"
import type { WorkDone } from "../../src/domain/work-rate.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { makePauses, type PausesView } from "./pauses.ts"
import { supervise } from "./supervise.ts"

const JOIN_AGAIN_MS = 500
/** A last word that nobody hears costs nothing: whoever is silent is taken for dead soon enough. */
const LAST_WORD_MS_MAX = 2_000

export interface Membership {
  readonly pauses: PausesView
  readonly state: () => NodeState
  /** From `joining` to `working`, once every actor has been started. When the scope closes, `draining` is said before any of them stops. */
  readonly work: Effect.Effect<void, never, Scope.Scope>
}

/** Answers once the node has been heard, and so knows what is paused. Leaves when the scope closes, after everything that was started later. */
export const joinCluster = Effect.fnUntraced(function* (life: NodeLife, obeyDrain: Effect.Effect<void>, done: () => WorkDone) {
  const cluster = yield* Cluster
  const telemetry = yield* Telemetry
  const startedNanos = yield* Clock.monotonicTimeNanos
  const { view: pauses, set } = makePauses()
  let state: Exclude<NodeState, "gone"> = "joining"
  let isOrdered = false

  const beat = Effect.gen(function* () {
    const uptimeMs = Number((yield* Clock.monotonicTimeNanos) - startedNanos) / 1e6
    const heard = yield* cluster.beat({ ...life, state, uptimeMs, done: done() }).pipe(Effect.timeout(Duration.millis(NODE_BEAT_TIMEOUT_MS)))
    sayChanges(telemetry, heard.pauses, set(heard.pauses.map(({ target }) => target)))
    telemetry.gauge("cluster_paused", heard.pauses.length)
    const alive = state === "draining" ? heard.others : [life.roles, ...heard.others]
    for (const role of ALL_ROLES) telemetry.gauge("cluster_nodes", alive.filter((roles) => takesRole(new Set(roles), role)).length, role)
    if (heard.drain === null || isOrdered) return
    isOrdered = true
    telemetry.info("an operator drains this node", { by: heard.drain.by, why: heard.drain.why })
    yield* obeyDrain
  })

  yield* Effect.addFinalizer((exit) =>
    cluster.leave(life.worker, farewellOf(exit)).pipe(Effect.timeout(Duration.millis(LAST_WORD_MS_MAX)), Effect.ignore)
  )
  yield* beat.pipe(
    Effect.tapError(({ _tag: error }) => Effect.sync(() => telemetry.warn("the cluster cannot be joined yet", { error }))),
    Effect.retry({ schedule: Schedule.spaced(Duration.millis(JOIN_AGAIN_MS)) })
  )
  // A failed beat changes nothing: what was paused stays paused until somebody has said otherwise.
  yield* supervise("membership", Effect.andThen(Effect.sleep(Duration.millis(NODE_BEAT_MS)), beat))

  const turn = (to: typeof state) => Effect.andThen(Effect.sync(() => (state = to)), Effect.ignore(beat))
  return {
    pauses,
    state: () => state,
    work: Effect.andThen(turn("working"), Effect.addFinalizer(() => turn("draining")))
  } satisfies Membership as Membership
})

const sayChanges = (
  telemetry: Telemetry["Service"],
  pauses: ReadonlyArray<Pause>,
  { set, lifted }: { readonly set: ReadonlyArray<string>; readonly lifted: ReadonlyArray<string> }
): void => {
  for (const { target, by, why } of pauses) if (set.includes(target)) telemetry.info("paused by an operator", { target, by, why })
  for (const target of lifted) telemetry.info("resumed by an operator", { target })
}

/** Told to stop, by a signal or by an order, it drains; anything else is a failure, and the log says which. */
const farewellOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? "drained" : "failed"
