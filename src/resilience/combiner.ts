/**
 * Merges calls of many fibers into one: group commit, of statements to a database or of messages to a bus. There is no timer. When nothing is under
 * way a call goes out at once; while a statement is under way, calls gather for the next one; a second statement may start beside the first only
 * when it would be full. A caller hears back only after what holds its items has been committed.
 */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"

export interface CombinerOptions<Item, Answer, E> {
  /** Items with one key never share a statement, never overtake each other, and are never under way twice. */
  readonly keyOf?: (item: Item) => string
  /** A full statement. A single call with more items than this goes alone. */
  readonly itemsMax: number
  /** Statements under way at the same time. */
  readonly flightsMax: number
  /** One statement; one answer for each item, in order. */
  readonly run: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Answer>, E>
  /**
   * True when nothing of the statement was kept because of what it said: then each call is tried alone, and only the bad one
   * fails.
   */
  readonly isRefusal: (error: E) => boolean
}

export type Combined<Item, Answer, E> = (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Answer>, E>

interface Call<Item, Answer, E> {
  readonly items: ReadonlyArray<Item>
  readonly keys: ReadonlyArray<string>
  readonly resume: (effect: Effect.Effect<ReadonlyArray<Answer>, E>) => void
}

/** When the scope closes, statements under way are waited for and calls that still wait are interrupted. */
export const makeCombiner = <Item, Answer, E>(
  options: CombinerOptions<Item, Answer, E>
): Effect.Effect<Combined<Item, Answer, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const flights = new Set<Fiber.Fiber<number>>()
    const keysUnderWay = new Set<string>()
    let waiting: Array<Call<Item, Answer, E>> = []
    let itemsWaiting = 0

    /** In the order of arrival, up to a full statement; calls whose keys are taken stay where they are. */
    const take = (): ReadonlyArray<Call<Item, Answer, E>> => {
      const taken: Array<Call<Item, Answer, E>> = []
      const left: Array<Call<Item, Answer, E>> = []
      const blocked = new Set(keysUnderWay)
      let size = 0
      let isFull = false
      for (const call of waiting) {
        isFull ||= size > 0 && size + call.items.length > options.itemsMax
        if (isFull || call.keys.some((key) => blocked.has(key))) {
          left.push(call)
        } else {
          taken.push(call)
          size += call.items.length
        }
        if (!isFull) for (const key of call.keys) blocked.add(key)
      }
      waiting = left
      itemsWaiting -= size
      return taken
    }

    const run = (calls: ReadonlyArray<Call<Item, Answer, E>>): Effect.Effect<void> =>
      Effect.suspend(() => options.run(calls.flatMap((call) => call.items))).pipe(
        Effect.map((answers) => {
          let start = 0
          for (const { items, resume } of calls) resume(Effect.succeed(answers.slice(start, (start += items.length))))
        }),
        Effect.catchCause((cause) => {
          const failure = cause.reasons.find(Cause.isFailReason)
          if (calls.length > 1 && failure !== undefined && options.isRefusal(failure.error)) {
            return Effect.forEach(calls, (call) => run([call]), { discard: true })
          }
          return Effect.sync(() => calls.forEach(({ resume }) => resume(Effect.failCause(cause))))
        })
      )

    const flight = Effect.gen(function*() {
      yield* Effect.yieldNow // fibers that are ready now join the same statement
      const calls = take()
      const keys = calls.flatMap((call) => call.keys)
      for (const key of keys) keysUnderWay.add(key)
      if (calls.length > 0) yield* run(calls)
      for (const key of keys) keysUnderWay.delete(key)
      return calls.length
    })

    const depart = () => {
      const isDue = flights.size === 0 ? waiting.length > 0 : itemsWaiting >= options.itemsMax
      if (!isDue || flights.size >= options.flightsMax) return
      const fiber = fork(flight)
      flights.add(fiber)
      fiber.addObserver((exit) => {
        flights.delete(fiber)
        // One that found every call blocked leaves them to the flight that blocks them; starting another now would spin.
        const wasEmpty = Exit.isSuccess(exit) && exit.value === 0
        if (!wasEmpty || flights.size === 0) depart()
      })
    }

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        for (const { resume } of waiting) resume(Effect.interrupt)
        waiting = []
        itemsWaiting = 0
        return Fiber.awaitAll([...flights])
      })
    )

    return (items) =>
      items.length === 0
        ? Effect.succeed([])
        : Effect.callback((resume) => {
            const keys = options.keyOf === undefined ? [] : items.map(options.keyOf)
            const call = { items, keys, resume }
            waiting.push(call)
            itemsWaiting += items.length
            depart()
            return Effect.sync(() => {
              if (!waiting.includes(call)) return
              waiting = waiting.filter((other) => other !== call)
              itemsWaiting -= items.length
            })
          })
  })
