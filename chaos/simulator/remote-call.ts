/** A call from one process to another part of the world: it takes time each way, and can be refused, swallowed on the way there, or be carried
 * out and its answer lost. The far end does not stop because the caller did. */
import { Effect, Exit } from "effect"
import type { Chance } from "./chance.ts"
import type { Process } from "./event-loop.ts"

/** `refused`: an error at once. `swallowed`: nothing arrives, an error after the timeout. `answers-lost`: it is carried out, and an error
 * comes after the timeout. `flaky`: now and then one of the three. `slow`: so many milliseconds more each way. */
export type LinkTrouble =
  | { readonly type: "refused" | "swallowed" | "answers-lost" | "flaky" }
  | { readonly type: "slow"; readonly ms: number }

export interface LinkOptions {
  readonly leastMs: number
  readonly mostMs: number
  /** After which the caller's adapter gives up. */
  readonly timeoutMs: number
}

type State = "up" | "refused" | "swallowed" | "answers-lost"
/** The worst wins. */
const STATES = ["refused", "swallowed", "answers-lost"] as const

const FLAKY_CHANCE = 0.1
/** One answer in so many takes ten times as long. */
const SLOW_CHANCE = 0.02
const SLOW_TIMES = 10

export class Link {
  readonly service: string
  private readonly troubles = new Set<LinkTrouble>()
  private readonly from: Process
  private readonly world: Process
  private readonly chance: Chance
  private readonly options: LinkOptions
  /** Called when something was carried out and its answer will not arrive. */
  onAnswerLost: () => void = () => undefined
  /** Asked before and after the far end does something: a test may kill the caller there. */
  onMoment: (moment: "before" | "after", service: string, what: string) => void = () => undefined

  constructor(service: string, from: Process, world: Process, chance: Chance, options: LinkOptions) {
    this.service = service
    this.from = from
    this.world = world
    this.chance = chance
    this.options = options
  }

  /** Answers how to take it away again. */
  trouble(trouble: LinkTrouble): () => void {
    const own = { ...trouble }
    this.troubles.add(own)
    return () => void this.troubles.delete(own)
  }

  /** The far end acts by itself, between two trips. */
  call<A, E, U>(what: string, serve: () => Exit.Exit<A, E>, unavailable: () => Exit.Exit<never, U>): Effect.Effect<A, E | U> {
    return Effect.callback<A, E | U>((resume) => {
      const state = this.stateNow()
      const answer = (exit: Exit.Exit<A, E | U>, afterMs: number): void => {
        this.from.loop.after(this.from, afterMs, () => resume(exit))
      }
      if (state === "refused") return answer(unavailable(), this.latencyMs())
      if (state === "swallowed") return answer(unavailable(), this.options.timeoutMs)
      const there = this.latencyMs()
      this.world.loop.after(this.world, there, () => {
        const wasAlive = this.from.isAlive
        this.onMoment("before", this.service, what)
        if (wasAlive && !this.from.isAlive) return // killed in this very moment, before it
        if (!wasAlive && this.chance.happens(0.5)) return // whether it had left by then
        const exit = serve()
        this.onMoment("after", this.service, what)
        if (state === "answers-lost") {
          this.onAnswerLost()
          return answer(unavailable(), this.options.timeoutMs)
        }
        const back = this.latencyMs()
        if (there + back > this.options.timeoutMs) answer(unavailable(), this.options.timeoutMs - there)
        else answer(exit, back)
      })
    })
  }

  /** One way, for a far end whose work is an effect of its own: there before it, back after it. */
  trip<U>(what: string, way: "there" | "back", unavailable: () => Exit.Exit<never, U>): Effect.Effect<void, U> {
    return Effect.callback<void, U>((resume) => {
      const state = this.stateNow()
      const { loop } = this.from
      const isLost = state === "swallowed" || (way === "back" && state === "answers-lost")
      if (way === "back") this.world.loop.soon(this.world, () => this.onMoment("after", this.service, what))
      if (way === "back" && isLost) this.onAnswerLost()
      if (state === "refused" && way === "there") loop.after(this.from, this.latencyMs(), () => resume(unavailable()))
      else if (isLost) loop.after(this.from, this.options.timeoutMs, () => resume(unavailable()))
      else {
        loop.after(this.from, this.latencyMs(), () => {
          if (way === "there") this.onMoment("before", this.service, what)
          if (this.from.isRunning) resume(Exit.void)
          else loop.soon(this.from, () => resume(Exit.void)) // it was stopped in this very moment
        })
      }
    })
  }

  /** Whether something that nobody waits for would arrive now: `there` from the caller, `back` to it. */
  carries(way: "there" | "back"): boolean {
    const state = this.stateNow()
    return state === "up" || (way === "there" && state === "answers-lost")
  }

  private stateNow(): State {
    for (const state of STATES) for (const { type } of this.troubles) if (type === state) return state
    for (const { type } of this.troubles) if (type === "flaky" && this.chance.happens(FLAKY_CHANCE)) return this.chance.pick(STATES)
    return "up"
  }

  private latencyMs(): number {
    const { leastMs, mostMs } = this.options
    const usual = leastMs + this.chance.fraction() * (mostMs - leastMs)
    let ms = usual * (this.chance.happens(SLOW_CHANCE) ? SLOW_TIMES : 1)
    for (const trouble of this.troubles) if (trouble.type === "slow") ms += trouble.ms
    return ms
  }
}
