/** A worker thread whose heap is bounded, whatever flags its process was started with. */
import { setFlagsFromString } from "node:v8"
import { Worker } from "node:worker_threads"

/** Megabytes. A worker that outgrows the second ends; its process goes on. */
export interface HeapLimits {
  readonly maxYoungGenerationSizeMb: number
  readonly maxOldGenerationSizeMb: number
}

/**
 * V8 reads these flags for every heap that is made, and lets them take the place of its `resourceLimits`: under `--max-old-space-size=192` each
 * worker would keep up to 192 MB of garbage, too. The main thread's heap was made with them long ago and keeps its bound.
 */
const FLAGS_OF_HEAPS = ["--max-old-space-size=0", "--max-semi-space-size=0"]

export const boundedWorker = (entry: URL, workerData: unknown, resourceLimits: HeapLimits): Worker => {
  for (const flag of FLAGS_OF_HEAPS) setFlagsFromString(flag)
  return new Worker(entry, { workerData, resourceLimits })
}
