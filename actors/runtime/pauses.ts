/** What operators have paused, as actors see it: read once for the whole process with the node's heartbeat (membership.ts), and looked at as often
 * as anybody likes. Where nobody provides it, nothing is paused. */
import { Context, Deferred, Effect } from "effect"
import { switchesOver, type PauseTarget } from "../../src/domain/cluster.ts"
import { supervise } from "./supervise.ts"

export interface PausesView {
  /** By itself, or by something wider. */
  readonly isPaused: (target: PauseTarget) => boolean
  /** Ends at the first change after this call. */
  readonly changed: () => Effect.Effect<void>
}

export const Pauses: Context.Reference<PausesView> = Context.Reference("portcullis/actors/Pauses", {
  defaultValue: (): PausesView => ({ isPaused: () => false, changed: () => Effect.never })
})

/** The one reading, and the hand that renews it. */
export const makePauses = () => {
  let paused: ReadonlySet<string> = new Set()
  let next = Deferred.makeUnsafe<void>()
  return {
    view: {
      isPaused: (target) => switchesOver(target).some((one) => paused.has(one)),
      changed: () => Deferred.await(next)
    } satisfies PausesView as PausesView,
    /** Answers what was paused and what was resumed since the last reading. */
    set: (targets: ReadonlyArray<PauseTarget>) => {
      const before = paused
      const now = new Set<string>(targets)
      paused = now
      const set = targets.filter((target) => !before.has(target))
      const lifted = [...before].filter((target) => !now.has(target))
      if (set.length + lifted.length > 0) {
        const ended = next
        next = Deferred.makeUnsafe<void>()
        Deferred.doneUnsafe(ended, Effect.void)
      }
      return { set, lifted }
    }
  }
}

/** Runs an actor while its target is not paused. A pause closes its scope: it takes nothing more, and finishes or gives back what it has. */
export const unlessPaused = Effect.fnUntraced(function* <A, E, R>(target: PauseTarget, actor: Effect.Effect<A, E, R>) {
  const pauses = yield* Pauses
  const untilPaused = Effect.gen(function* () {
    for (;;) {
      const changed = pauses.changed() // before the look: a change in the middle of it is heard too
      if (pauses.isPaused(target)) return
      yield* changed
    }
  })
  const turn = Effect.gen(function* () {
    const changed = pauses.changed()
    if (pauses.isPaused(target)) return yield* changed
    return yield* Effect.scoped(Effect.andThen(actor, untilPaused))
  })
  yield* supervise(target.replaceAll(/[:/]/g, "-").slice(0, 40), turn)
})
