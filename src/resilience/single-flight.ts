/** Several who ask the same thing at once: one of them asks, and the others are told what it was told, good or bad. Nothing is remembered. */
import { Deferred, Effect, Exit } from "effect"

export class SingleFlight<A, E> {
  readonly #underWay = new Map<string, Deferred.Deferred<Exit.Exit<A, E>>>()

  isUnderWay(what: string): boolean {
    return this.#underWay.has(what)
  }

  /** `what` names everything that the answer depends on. Whoever asks first does so in its own fiber; when it is interrupted, another one asks. */
  share<R>(what: string, ask: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // No interruption between taking the lead and being sure that it ends: those who wait would wait for ever.
    return Effect.uninterruptibleMask((restore): Effect.Effect<A, E, R> => {
      const other = this.#underWay.get(what)
      if (other === undefined) return this.#lead(what, restore(ask))
      return Effect.flatMap(restore(Deferred.await(other)), (exit) => (Exit.hasInterrupts(exit) ? restore(this.share(what, ask)) : exit))
    })
  }

  #lead<R>(what: string, ask: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const mine = Deferred.makeUnsafe<Exit.Exit<A, E>>()
    this.#underWay.set(what, mine)
    return Effect.onExit(ask, (exit) => {
      this.#underWay.delete(what)
      return Deferred.succeed(mine, exit)
    })
  }
}
