/** Bounds of a worker's heap hold also where the process was given bounds of its own. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, test } from "vitest"

const MODULE = new URL("../../../src/adapters/worker-threads/bounded-worker.ts", import.meta.url).href
/** V8 adds some MiB of young generation to the bound of the old one. */
const YOUNG_MIB_MAX = 16
const WORKER = `import { getHeapStatistics } from "node:v8"; import { parentPort } from "node:worker_threads"
  parentPort.postMessage(getHeapStatistics().heap_size_limit)`
const PROGRAM = `import { getHeapStatistics } from "node:v8"
  import { boundedWorker } from ${JSON.stringify(MODULE)}
  const entry = new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(WORKER)}`)})
  const worker = boundedWorker(entry, undefined, { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 })
  worker.on("message", (limit) => console.log(JSON.stringify({ worker: limit, process: getHeapStatistics().heap_size_limit })))`

test.each([[[]], [["--max-old-space-size=192", "--max-semi-space-size=4"]]])("a worker keeps its bound in a process with the flags %j", async (flags) => {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--input-type=module", "--eval", PROGRAM])
  const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024)
  const limits: { readonly worker: number; readonly process: number } = JSON.parse(stdout)
  expect(mib(limits.worker)).toBeGreaterThanOrEqual(64)
  expect(mib(limits.worker)).toBeLessThanOrEqual(64 + YOUNG_MIB_MAX)
  if (flags.length > 0) expect(mib(limits.process)).toBeLessThanOrEqual(192 + YOUNG_MIB_MAX)
  else expect(limits.process).toBeGreaterThan(limits.worker)
})
