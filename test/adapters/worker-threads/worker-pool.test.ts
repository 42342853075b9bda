/** Bounded, and no worse for a dead worker than one job to be given again. */
import { afterEach, expect, test } from "vitest"
import {
  JobDefect,
  startWorkerPool,
  type WorkerPool,
  WorkersUnavailable
} from "../../../src/adapters/worker-threads/worker-pool.ts"

const pools: Array<WorkerPool> = []
const start = async (workers: number, queueMax: number, startsAtAll = true): Promise<WorkerPool> => {
  const entry = new URL("./crashing-worker.ts", import.meta.url)
  const pool = await startWorkerPool({ entry, workers, queueMax, workerData: { startsAtAll } })
  pools.push(pool)
  return pool
}
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()))
})

const reasonOf = async (job: Promise<unknown>): Promise<string> => {
  try {
    await job
    return "done"
  } catch (error) {
    expect(error).toBeInstanceOf(WorkersUnavailable)
    return (error as WorkersUnavailable).reason
  }
}

/** A job that keeps a worker until it is released. */
const aLongJob = () => {
  const shared = new SharedArrayBuffer(4)
  const release = () => {
    Atomics.store(new Int32Array(shared), 0, 1)
    Atomics.notify(new Int32Array(shared), 0)
  }
  return { job: shared, release }
}

test("does every job and gives each caller its own answer", async () => {
  const pool = await start(2, 100)
  const jobs = Array.from({ length: 50 }, (_, index) => ({ index, bytes: new Uint8Array([index]) }))
  expect(await Promise.all(jobs.map((job) => pool.run(job)))).toEqual(jobs)
})

test("a worker that dies takes its own job with it, says that it may be given again, and is replaced", async () => {
  const pool = await start(1, 10)
  const [lost, next] = [pool.run("die"), pool.run("after")]
  expect(await reasonOf(lost)).toBe("worker died")
  expect(await next).toBe("after")
  expect(await reasonOf(pool.run("throw"))).toBe("worker died")
  expect(await pool.run("again")).toBe("again")
})

test("a defect in a job fails that job as a defect and keeps the worker", async () => {
  const pool = await start(1, 10)
  await expect(pool.run("defect")).rejects.toBeInstanceOf(JobDefect)
  await expect(pool.run("defect")).rejects.toMatchObject({ fate: "halt", detail: "AssertionError: never" })
  expect(await pool.run("fine")).toBe("fine")
})

test("refuses what does not fit in the queue at once", async () => {
  const pool = await start(1, 2)
  const long = aLongJob()
  const under = [pool.run(long.job), pool.run(1), pool.run(2)]
  expect(pool.waiting()).toBe(2)
  expect(await reasonOf(pool.run(3))).toBe("queue full")
  long.release()
  expect(await Promise.all(under)).toEqual(["released", 1, 2])
})

test("a caller that gives up takes its waiting job out of the queue", async () => {
  const pool = await start(1, 2)
  const long = aLongJob()
  const first = pool.run(long.job)
  const caller = new AbortController()
  const given = pool.run("unwanted", caller.signal)
  caller.abort()
  expect(await reasonOf(given)).toBe("given up by the caller")
  expect(pool.waiting()).toBe(0)
  long.release()
  expect(await first).toBe("released")
})

test("closing ends what is under way and refuses what comes later", async () => {
  const pool = await start(1, 2)
  const long = aLongJob()
  const under = [reasonOf(pool.run(long.job)), reasonOf(pool.run("waiting"))]
  await pool.close()
  expect(await Promise.all(under)).toEqual(["pool closed", "pool closed"])
  expect(await reasonOf(pool.run("late"))).toBe("pool closed")
})

test("a worker that does not start is said so, and not tried for ever", async () => {
  expect(await reasonOf(start(2, 2, false))).toBe("workers do not start")
})
