/**
 * Notes when ports are at work: every effect of a service is replaced by one that writes down when it began and when it ended.
 */
import { Effect } from "effect"

export interface Span {
  readonly port: string
  readonly fromMs: number
  readonly toMs: number
}

export class PortClock {
  readonly spans: Array<Span> = []

  /** The same service, timed. Properties that are effects, and functions that answer with effects. */
  timed<S extends object>(name: string, service: S): S {
    return Object.fromEntries(
      Object.entries(service).map(([method, value]) => {
        const port = `${name}.${method}`
        if (Effect.isEffect(value)) return [method, this.around(port, value as Effect.Effect<unknown>)]
        if (typeof value !== "function") return [method, value]
        return [method, (...args: ReadonlyArray<unknown>) => this.around(port, value(...args) as Effect.Effect<unknown>)]
      })
    ) as S
  }

  private around<A, E, R>(port: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const fromMs = performance.now()
      return Effect.onExit(effect, () => Effect.sync(() => this.spans.push({ port, fromMs, toMs: performance.now() })))
    })
  }
}

/** How much of the time from..to is covered by at least one span. */
export const covered = (spans: ReadonlyArray<Span>, fromMs: number, toMs: number): number => {
  let total = 0
  let until = fromMs
  for (const span of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const from = Math.max(span.fromMs, until)
    const to = Math.min(span.toMs, toMs)
    if (to <= from) continue
    total += to - from
    until = to
  }
  return total
}
