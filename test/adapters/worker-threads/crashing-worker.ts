/** A worker for the pool's tests: does as the job says. */
import { parentPort, workerData } from "node:worker_threads"
import type { ToWorker } from "../../../src/adapters/worker-threads/worker-pool.ts"

const { startsAtAll } = workerData as { readonly startsAtAll: boolean }
if (!startsAtAll) process.exit(1)

parentPort!.on("message", ({ id, job }: ToWorker) => {
  if (job === "die") process.exit(1)
  if (job === "throw") setTimeout(() => { throw new Error("outside any job's try") })
  else if (job === "defect") parentPort!.postMessage({ type: "defect", id, message: "AssertionError: never" })
  else if (job instanceof SharedArrayBuffer) {
    Atomics.wait(new Int32Array(job), 0, 0) // busy until the test says so
    parentPort!.postMessage({ type: "done", id, result: "released" })
  } else parentPort!.postMessage({ type: "done", id, result: job })
})
parentPort!.postMessage({ type: "ready" })
