/**
 * A fixed number of worker threads and a bounded queue in front of them. A job runs on one worker at a time; a worker
 * that dies takes only its own job with it (as `WorkersUnavailable`: nothing is known about the job) and is replaced.
 */
import assert from "node:assert/strict"
import type { Worker } from "node:worker_threads"
import { TaggedError } from "effect/Data"
import type { Fate } from "../../domain/fate.ts"
import { boundedWorker } from "./bounded-worker.ts"

export type ToWorker = { readonly id: number; readonly job: unknown }
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly id: number; readonly result: unknown }
  | { readonly type: "defect"; readonly id: number; readonly message: string }

/** The job was not done, or it is not known whether it was. It may be given again. */
export class WorkersUnavailable extends TaggedError("WorkersUnavailable")<{
  readonly reason: "queue full" | "worker died" | "workers do not start" | "pool closed" | "given up by the caller"
}> {
  readonly fate: Fate = "retry"
  override get message(): string {
    return `the workers did not do the job: ${this.reason}`
  }
}

/** The job ran into a defect of ours. Giving it again would run into it again. */
export class JobDefect extends TaggedError("JobDefect")<{ readonly detail: string }> {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `a job ran into a defect: ${this.detail}`
  }
}

export interface WorkerPool {
  /**
   * Rejects with `WorkersUnavailable` or `JobDefect`. Aborting takes a waiting job out of the queue; a running one is
   * finished unheard.
   */
  readonly run: (job: unknown, signal?: AbortSignal) => Promise<unknown>
  readonly waiting: () => number
  /** Ends the threads at once; whatever was under way is `WorkersUnavailable`. */
  readonly close: () => Promise<void>
}

/**
 * Megabytes of a worker's heap. Left to itself each one keeps 30 MB of garbage around (66 MiB resident against 36); a job needs a few. One
 * that outgrows this ends its worker, and nothing else.
 */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 }

interface Assignment {
  readonly id: number
  readonly job: unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: WorkersUnavailable | JobDefect) => void
}

interface Seat {
  worker: Worker | undefined
  isReady: boolean
  current: Assignment | undefined
}

/** Resolves when every worker is ready; rejects with `WorkersUnavailable` when one does not start. */
export const startWorkerPool = async (options: {
  readonly entry: URL
  readonly workers: number
  /** Jobs that wait; one more is refused at once. */
  readonly queueMax: number
  readonly workerData?: unknown
}): Promise<WorkerPool> => {
  assert(Number.isInteger(options.workers) && options.workers >= 1, "a pool has workers")
  assert(Number.isInteger(options.queueMax) && options.queueMax >= 0, "the queue is bounded")
  const queue: Array<Assignment> = []
  const seats: ReadonlyArray<Seat> = Array.from({ length: options.workers }, () => ({
    worker: undefined,
    isReady: false,
    current: undefined
  }))
  let isClosed = false
  let nextId = 1

  const refuseWaiting = (reason: WorkersUnavailable["reason"]): void => {
    for (const assignment of queue.splice(0)) assignment.reject(new WorkersUnavailable({ reason }))
  }

  const hand = (): void => {
    for (const seat of seats) {
      if (queue.length === 0) return
      // A worker that would not start leaves its seat empty until there is work again: no endless restarting.
      if (seat.worker === undefined) void occupy(seat)
      if (!seat.isReady || seat.current !== undefined) continue
      seat.current = queue.shift()!
      seat.worker!.postMessage({ id: seat.current.id, job: seat.current.job } satisfies ToWorker)
    }
  }

  const settle = (seat: Seat, id: number, how: (assignment: Assignment) => void): void => {
    const assignment = seat.current
    assert(assignment?.id === id, "a worker answers the job it was given")
    seat.current = undefined
    how(assignment)
    hand()
  }

  /** Puts a new worker on a seat; resolves to whether it became ready. */
  const occupy = (seat: Seat): Promise<boolean> =>
    new Promise((started) => {
      const worker = boundedWorker(options.entry, options.workerData, HEAP_LIMITS)
      seat.worker = worker
      worker.on("message", (message: FromWorker) => {
        if (message.type === "ready") {
          seat.isReady = true
          started(true)
          hand()
        } else if (message.type === "done") settle(seat, message.id, ({ resolve }) => resolve(message.result))
        else settle(seat, message.id, ({ reject }) => reject(new JobDefect({ detail: message.message })))
      })
      worker.on("error", () => undefined) // "exit" follows; without a listener the process would end
      worker.on("exit", () => {
        const wasReady = seat.isReady
        const lost = seat.current
        Object.assign(seat, { worker: undefined, isReady: false, current: undefined })
        lost?.reject(new WorkersUnavailable({ reason: isClosed ? "pool closed" : "worker died" }))
        started(false)
        if (isClosed) return
        if (wasReady) void occupy(seat)
        else if (seats.every(({ worker: other }) => other === undefined)) refuseWaiting("workers do not start")
      })
    })

  const run = (job: unknown, signal?: AbortSignal): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (isClosed) return reject(new WorkersUnavailable({ reason: "pool closed" }))
      if (queue.length >= options.queueMax && !seats.some((seat) => seat.isReady && seat.current === undefined)) {
        return reject(new WorkersUnavailable({ reason: "queue full" }))
      }
      const assignment: Assignment = { id: nextId++, job, resolve, reject }
      queue.push(assignment)
      signal?.addEventListener(
        "abort",
        () => {
          const at = queue.indexOf(assignment)
          if (at >= 0) queue.splice(at, 1)
          reject(new WorkersUnavailable({ reason: "given up by the caller" }))
        },
        { once: true }
      )
      hand()
    })

  const close = async (): Promise<void> => {
    isClosed = true
    refuseWaiting("pool closed")
    await Promise.all(seats.map((seat) => seat.worker?.terminate()))
  }

  const started = await Promise.all(seats.map(occupy))
  if (started.includes(false)) {
    await close()
    throw new WorkersUnavailable({ reason: "workers do not start" })
  }
  return { run, waiting: () => queue.length, close }
}
