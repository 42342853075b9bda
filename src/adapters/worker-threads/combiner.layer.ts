/** `Combiner` on worker threads: the gateway's event loop never does curve arithmetic. The workers end with the layer's scope. */
import { Effect, Layer } from "effect"
import type { Committee } from "../../domain/committee.ts"
import {
  type Combined,
  type CombinedAttestation,
  Combiner,
  CombinerUnavailable,
  type CombineTask
} from "../../journey/5-threshold-verified/combiner.port.ts"
import type { CombinerJob } from "./combine-job.ts"
import type { EngineName } from "./engine-choice.ts"
import { JobDefect, startWorkerPool, type WorkerPool, WorkersUnavailable } from "./worker-pool.ts"

/**
 * Handles verified by one equation: at 16 the two pairings of the equation cost 0.2 ms for each handle, and a job stays
 * below 100 ms, so that both workers have something to do (bench/crypto.ts).
 */
const HANDLES_PER_JOB = 16

/** Whole requests, at most `HANDLES_PER_JOB` handles together unless one request alone has more; in order. */
export const jobsOf = (tasks: ReadonlyArray<CombineTask>): ReadonlyArray<ReadonlyArray<CombineTask>> => {
  const jobs: Array<Array<CombineTask>> = []
  let handles = 0
  for (const task of tasks) {
    const last = jobs.at(-1)
    if (last === undefined || handles + task.request.handles.length > HANDLES_PER_JOB) {
      jobs.push([task])
      handles = task.request.handles.length
    } else {
      last.push(task)
      handles += task.request.handles.length
    }
  }
  return jobs
}

const run = <Result>(pool: WorkerPool, job: CombinerJob): Effect.Effect<Result, CombinerUnavailable> =>
  Effect.tryPromise({ try: (signal) => pool.run(job, signal), catch: (error) => error }).pipe(
    Effect.catch((error) => {
      if (error instanceof WorkersUnavailable) return Effect.fail(new CombinerUnavailable({ reason: error.reason }))
      return Effect.die(error instanceof JobDefect ? error : new JobDefect({ detail: "the pool broke its promise" }))
    }),
    Effect.map((result) => result as Result)
  )

export const layer = (options: {
  readonly engine: EngineName
  readonly workers: number
  /** Jobs that wait for a worker; more are refused as `CombinerUnavailable`. */
  readonly queueMax: number
}): Layer.Layer<Combiner, CombinerUnavailable> =>
  Layer.effect(
    Combiner,
    Effect.gen(function* () {
      const pool = yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: () =>
            startWorkerPool({
              entry: new URL("./combiner.worker.ts", import.meta.url),
              workers: options.workers,
              queueMax: options.queueMax,
              workerData: { engine: options.engine }
            }),
          catch: () => new CombinerUnavailable({ reason: "workers do not start" })
        }),
        (started) => Effect.promise(() => started.close())
      )
      return {
        combine: (committee: Committee, tasks: ReadonlyArray<CombineTask>) =>
          Effect.forEach(
            jobsOf(tasks),
            (some) => run<ReadonlyArray<Combined>>(pool, { type: "combine", committee, tasks: some }),
            // The rest of a message waits here: a queue that one message could fill would refuse that message as a whole.
            { concurrency: options.workers }
          ).pipe(Effect.map((results) => results.flat())),
        combineAttestation: (committee, digest, parts) =>
          run<CombinedAttestation>(pool, { type: "attest", committee, digest, parts })
      }
    })
  )
