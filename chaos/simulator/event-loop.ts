/** Virtual time. One queue of what can run now, one heap of what runs later; nothing else moves a simulated world. A process (a gateway node,
 * or the world itself) owns its tasks: while it is frozen they wait, and when it is killed they are dropped, finalizers and all, as
 * SIGSTOP and SIGKILL would have it. */
import { Clock, Context, Duration, Effect, Fiber, Random, Scheduler } from "effect"
import type { Chance } from "./chance.ts"

const MICROS_PER_MS = 1_000

interface Timer {
  readonly at: number
  readonly order: number
  readonly process: Process
  task: (() => void) | undefined
}

/** Beyond this many tasks at one instant something spins: the seed is worth looking at. */
const TASKS_AT_ONE_INSTANT_MAX = 200_000

export class TimeStandsStill extends Error {
  override readonly name = "TimeStandsStill"
}

export class EventLoop {
  /** Microseconds since the Unix epoch: integers, so that sums are exact. */
  private now: number
  private readonly ready: Array<{ readonly process: Process; readonly task: () => void }> = []
  private firstReady = 0
  private readonly timers: Array<Timer> = []
  private orders = 0
  tasksRun = 0

  constructor(startMs: number) {
    this.now = startMs * MICROS_PER_MS
  }

  get nowMicros(): number {
    return this.now
  }

  get nowMs(): number {
    return Math.floor(this.now / MICROS_PER_MS)
  }

  soon(process: Process, task: () => void): void {
    this.ready.push({ process, task })
  }

  /** Answers how to take it back. */
  after(process: Process, delayMs: number, task: () => void): () => void {
    const timer: Timer = {
      at: this.now + Math.max(0, Math.round(delayMs * MICROS_PER_MS)),
      order: this.orders++,
      process,
      task
    }
    this.push(timer)
    return () => {
      timer.task = undefined
    }
  }

  /** Runs until `isOver` says so (asked whenever time is about to move), or until the end; answers whether it was over. */
  run(untilMs: number, isOver: () => boolean): boolean {
    const end = Math.round(untilMs * MICROS_PER_MS)
    for (;;) {
      this.runReady()
      if (isOver()) return true
      const next = this.timers[0]
      if (next === undefined || next.at > end) {
        this.now = Math.max(this.now, end)
        return false
      }
      this.pop()
      if (next.task === undefined) continue
      this.now = Math.max(this.now, next.at)
      next.process.take(next.task)
    }
  }

  /** As a real loop that was held up: what came due meanwhile runs late, and whatever that begins counts from now. */
  runLate(nowMs: number): void {
    this.now = Math.max(this.now, Math.round(nowMs * MICROS_PER_MS))
    this.run(nowMs, () => false)
  }

  private runReady(): void {
    for (let count = 0; this.firstReady < this.ready.length; count++) {
      const { process, task } = this.ready[this.firstReady++]!
      process.take(task)
      this.tasksRun++
      if (count > TASKS_AT_ONE_INSTANT_MAX) throw new TimeStandsStill("a process spins without ever waiting")
    }
    this.ready.length = 0
    this.firstReady = 0
  }

  private isBefore(a: Timer, b: Timer): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  private push(timer: Timer): void {
    const heap = this.timers
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.isBefore(timer, heap[above]!)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = timer
  }

  private pop(): void {
    const heap = this.timers
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && this.isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!this.isBefore(heap[below]!, last)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
  }
}

/** Whoever can be stopped and killed as one: its tasks, its clock, its chance. */
export class Process {
  readonly name: string
  readonly loop: EventLoop
  private state: "running" | "frozen" | "dead" = "running"
  private held: Array<() => void> = []
  /** By how much its wall clock is ahead of the world's; the monotonic clock is never wrong. Milliseconds. */
  skewMs = 0
  /** What Effect programs of this process run on. */
  readonly context: Context.Context<never>

  constructor(name: string, loop: EventLoop, chance: Chance) {
    this.name = name
    this.loop = loop
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => loop.soon(this, task),
      flush: () => undefined
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      // Preemption by operation count would be as repeatable, but nothing here computes for long.
      shouldYield: () => false,
      makeDispatcher: () => dispatcher
    }
    this.context = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Scheduler.PreventSchedulerYield, true),
      Context.add(Clock.Clock, clockOf(this)),
      Context.add(Random.Random, chance.asRandom)
    ) as Context.Context<never>
  }

  get isAlive(): boolean {
    return this.state !== "dead"
  }

  get isRunning(): boolean {
    return this.state === "running"
  }

  take(task: () => void): void {
    if (this.state === "running") task()
    else if (this.state === "frozen") this.held.push(task)
  }

  freeze(): void {
    if (this.state === "running") this.state = "frozen"
  }

  /** What came due meanwhile runs now, in order. */
  thaw(): void {
    if (this.state !== "frozen") return
    this.state = "running"
    const held = this.held
    this.held = []
    for (const task of held) this.loop.soon(this, task)
  }

  kill(): void {
    this.state = "dead"
    this.held = []
  }

  /** Answers how to interrupt it; resolves when its finalizers have run. */
  fork<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<void> {
    let fiber: Fiber.Fiber<A, E> | undefined
    this.loop.soon(this, () => (fiber = Effect.runForkWith(this.context)(effect)))
    return Effect.suspend(() => (fiber === undefined ? Effect.void : Fiber.interrupt(fiber)))
  }
}

const clockOf = (process: Process): Clock.Clock => {
  const { loop } = process
  const millis = (): number => loop.nowMs + process.skewMs
  const nanos = (): bigint => BigInt(loop.nowMicros + process.skewMs * MICROS_PER_MS) * 1_000n
  const monotonic = (): bigint => BigInt(loop.nowMicros) * 1_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => {
      const ms = Duration.toMillis(duration)
      if (ms <= 0) return Effect.yieldNow
      if (!Number.isFinite(ms)) return Effect.never
      return Effect.callback<void>((resume) => {
        const takeBack = loop.after(process, ms, () => resume(Effect.void))
        return Effect.sync(takeBack)
      })
    }
  }
}
