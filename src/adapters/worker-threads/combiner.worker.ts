/**
 * The other side of the pool: starts its engine, says that it is ready, then does one job after another. Never more
 * than one at a time.
 */
import assert from "node:assert/strict"
import { parentPort, workerData } from "node:worker_threads"
import { type CombinerJob, combinerJobs } from "./combine-job.ts"
import { type EngineName, startEngine } from "./engine-choice.ts"
import type { FromWorker, ToWorker } from "./worker-pool.ts"

assert(parentPort !== null, "this file runs on a worker thread")
const port = parentPort
const say = (message: FromWorker): void => port.postMessage(message)

const { engine } = workerData as { readonly engine: EngineName }
const run = combinerJobs(await startEngine(engine))

port.on("message", ({ id, job }: ToWorker) => {
  try {
    say({ type: "done", id, result: run(job as CombinerJob) })
  } catch (error) {
    // A defect of ours or a committee record that cannot be. Names and assertion texts carry no secrets; stacks may be long.
    say({ type: "defect", id, message: error instanceof Error ? `${error.name}: ${error.message}` : "not an error" })
  }
})
say({ type: "ready" })
