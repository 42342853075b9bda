import { Effect, Exit, Scope } from "effect"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, test } from "vitest"
import { type Log, type LogOptions, openLog } from "../../src/adapters/pino/log.ts"

const folder = mkdtempSync(join(tmpdir(), "portcullis-log-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Says something to a log and closes it; how much was dropped. */
const logged = async (options: Omit<LogOptions, "onDropped">, say: (log: Log) => void): Promise<number> => {
  let dropped = 0
  const scope = Scope.makeUnsafe()
  const onDropped = (count: number) => void (dropped += count)
  const log = await Effect.runPromise(openLog({ ...options, onDropped }).pipe(Scope.provide(scope)))
  say(log)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return dropped
}

const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe("a log in a file", () => {
  test("has every line once its scope is closed, in order", async () => {
    const path = join(folder, "all.log")
    const dropped = await logged({ level: "info", to: { path } }, (log) => {
      for (let number = 0; number < 5_000; number++) log.write("info", "line", { number })
    })
    assert.equal(dropped, 0)
    assert.deepEqual(linesOf(path).map(({ number }) => number), Array.from({ length: 5_000 }, (_, index) => index))
  })

  test("is added to, never overwritten, and is not for everybody's eyes", async () => {
    const path = join(folder, "again.log")
    for (const word of ["first", "second"]) await logged({ level: "info", to: { path } }, (log) => log.write("info", word, {}))
    assert.deepEqual(linesOf(path).map(({ msg }) => msg), ["first", "second"])
    assert.equal(statSync(path).mode & 0o007, 0)
  })

  test("leaves out what is less important than its level", async () => {
    const path = join(folder, "level.log")
    await logged({ level: "warn", to: { path } }, (log) => {
      log.write("info", "a fact", {})
      log.write("warn", "a warning", {})
      log.write("error", "an error", {})
    })
    assert.deepEqual(linesOf(path).map(({ level }) => level), ["warn", "error"])
  })

  test("has a time that people and machines read, and says who speaks on each line", async () => {
    const path = join(folder, "who.log")
    await logged({ level: "info", to: { path }, always: { worker: "gateway-1" } }, (log) => {
      log.write("info", "ready", { port: 1 })
    })
    const [line] = linesOf(path)
    assert.match(String(line?.["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.deepEqual(Object.keys(line ?? {}), ["level", "time", "worker", "port", "msg"])
  })

  test("says which file cannot be opened, and why", async () => {
    const path = join(folder, "no/such/folder.log")
    const open = openLog({ level: "info", to: { path }, onDropped: () => {} })
    const failure = await Effect.runPromise(Effect.flip(Effect.scoped(open)))
    assert.deepEqual([failure._tag, failure.path, failure.code, failure.fate], ["LogNotOpened", path, "ENOENT", "halt"])
  })

  test("that the disk has no room for hurts nobody, and what is lost is counted", async () => {
    const dropped = await logged({ level: "info", to: { path: "/dev/full" } }, (log) => log.write("info", "line", {}))
    assert.ok(dropped > 0)
  })

  test("holds no more than its bound for a reader that does not read", async () => {
    const lines = 40_000
    const dropped = await logged({ level: "info", to: { path: join(folder, "flood.log") } }, (log) => {
      // In one turn of the event loop nothing can be written asynchronously: it is as if the reader had stopped.
      for (let number = 0; number < lines; number++) log.write("info", "line", { number, text: "a word and another ".repeat(20) })
    })
    assert.ok(dropped > 0)
    assert.equal(linesOf(join(folder, "flood.log")).length, lines - dropped)
  })
})

describe("a log on stdout", () => {
  test("outlives its reader", async () => {
    const module = new URL("../../src/adapters/pino/log.ts", import.meta.url).href
    const effect = import.meta.resolve("effect")
    const program = `
      import { Effect } from ${JSON.stringify(effect)}
      import { openLog } from ${JSON.stringify(module)}
      import { setTimeout as pause } from "node:timers/promises"
      await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
        const log = yield* openLog({ level: "info", to: "stdout", onDropped: () => {} })
        for (let round = 0; round < 20; round++) {
          log.write("info", "line", { round })
          yield* Effect.promise(() => pause(10))
        }
      })))
      process.stderr.write("done")`
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "pipe"] })
    child.stdout.once("data", () => child.stdout.destroy())
    let said = ""
    child.stderr.on("data", (data: Buffer) => (said += data.toString()))
    const [code] = (await once(child, "close")) as [number | null]
    assert.deepEqual([code, said], [0, "done"])
  })
})
