/**
 * Answers that are remembered for a while (ADR 0025): so many, for so long by a clock that only goes forward, and asked for once however
 * many want one at the same time. A failure is shared by those who wait for it and remembered by nobody.
 */
import { Effect } from "effect"
import { type CacheMeter, UNMETERED } from "./cache-meter.ts"
import { LruIndex } from "./lru-index.ts"
import { monotonicMs } from "./monotonic.ts"
import { SingleFlight } from "./single-flight.ts"

export interface CacheBounds {
  readonly entriesMax: number
  /** Counted from when the question was put, not from when it was answered or last used. */
  readonly ageMsMax: number
}

interface Remembered<A> {
  readonly value: A
  readonly askedAtMs: number
}

export class Cache<A, E> {
  readonly #bounds: CacheBounds
  readonly #meter: CacheMeter
  readonly #kept: LruIndex<Remembered<A>>
  readonly #flights = new SingleFlight<A, E>()

  constructor(bounds: CacheBounds, meter: CacheMeter = UNMETERED) {
    this.#bounds = bounds
    this.#meter = meter
    this.#kept = new LruIndex(bounds.entriesMax, bounds.ageMsMax)
  }

  /** What is remembered under the key, or what `ask` says. `key` names everything that the answer depends on. */
  get<R>(key: string, ask: Effect.Effect<A, E, R>, isWorthKeeping: (value: A) => boolean = () => true): Effect.Effect<A, E, R> {
    return Effect.flatMap(monotonicMs, (nowMs): Effect.Effect<A, E, R> => {
      const known = this.#kept.touch(key, nowMs)
      if (known !== undefined && nowMs - known.askedAtMs < this.#bounds.ageMsMax) {
        this.#meter.hit()
        return Effect.succeed(known.value)
      }
      if (this.#flights.isUnderWay(key)) this.#meter.hit()
      else this.#meter.miss()
      return this.#flights.share(key, Effect.tap(ask, (value) => Effect.sync(() => this.#keep(key, { value, askedAtMs: nowMs }, isWorthKeeping))))
    })
  }

  #keep(key: string, answer: Remembered<A>, isWorthKeeping: (value: A) => boolean): void {
    const tooOld = this.#kept.expire(answer.askedAtMs)
    const tooMany = isWorthKeeping(answer.value) ? this.#kept.put(key, answer, 1, answer.askedAtMs) : []
    this.#meter.holds({ entries: this.#kept.entries, evicted: tooOld.length + tooMany.length })
  }
}
