/** The answer log: written before anything leaves, bounded in memory, and a node that would contradict itself stays silent. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, expect, test } from "vitest"
import { fileAnswerLogLayer } from "../../../src/adapters/kms-node/answer-log.layer.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import { AnswerLog, type ShareEntry } from "../../../src/kms-node/answer-log.port.ts"

const directory = mkdtempSync(join(tmpdir(), "portcullis-log-"))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
const freshPath = () => join(directory, `answers-${(files += 1)}.jsonl`)
const entry = (request: number, shares: number): ShareEntry => ({
  type: "share",
  atMs: 1,
  caller: "cert:gateway",
  requestId: `0x${request.toString(16).padStart(64, "0")}`,
  epoch: 1,
  kind: "public",
  handles: 1,
  sharesHash: `0x${shares.toString(16).padStart(64, "0")}` as Hex
})
const recording = (path: string, entries: ReadonlyArray<ShareEntry>, isSynced = false) =>
  AnswerLog.pipe(
    Effect.flatMap((log) => Effect.forEach(entries, (one) => log.record(one), { concurrency: "unbounded", discard: true })),
    Effect.provide(fileAnswerLogLayer({ path, isSynced }))
  )
const lines = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")

test.each([false, true])(
  "every answer stands in the file when record returns, once for each time it was given (synced: %s)",
  async (isSynced) => {
    const path = freshPath()
    const entries = Array.from({ length: 500 }, (_, index) => entry(index % 250, index % 250))
    await Effect.runPromise(recording(path, entries, isSynced))
    expect(lines(path).map((line) => JSON.parse(line) as ShareEntry)).toEqual(entries)
  }
)

test("another answer to the same request is refused, also after a restart, and not written", async () => {
  const path = freshPath()
  await Effect.runPromise(recording(path, [entry(1, 1), entry(2, 2)]))
  expect(await Effect.runPromise(Effect.flip(recording(path, [entry(2, 3)])))).toMatchObject({
    _tag: "AnswerContradicts",
    fate: "halt"
  })
  await Effect.runPromise(recording(path, [entry(2, 2), entry(3, 3)]))
  expect(lines(path).length).toBe(4)
})

test("a torn last line does not swallow the next one", async () => {
  const path = freshPath()
  await Effect.runPromise(recording(path, [entry(1, 1)]))
  appendFileSync(path, `{"type":"share","requestId":"0x`)
  await Effect.runPromise(recording(path, [entry(2, 2)]))
  expect(lines(path).map((line) => line.endsWith("}"))).toEqual([true, false, true])
  expect(await Effect.runPromise(Effect.flip(recording(path, [entry(1, 9)])))).toMatchObject({ _tag: "AnswerContradicts" })
})

test("lines that are not ours are left alone", async () => {
  const path = freshPath()
  writeFileSync(path, `null\n[]\n"share"\n{"type":"share"}\n{"type":"attest","root":"0x"}\nnot json\n`)
  await Effect.runPromise(recording(path, [entry(1, 1)]))
  expect(lines(path).length).toBe(7)
})

test("a log that cannot be opened stops the node before it serves", async () => {
  const path = join(directory, "missing", "answers.jsonl")
  expect(await Effect.runPromise(Effect.flip(recording(path, [])))).toMatchObject({ _tag: "AnswerLogNotOpened", path })
})
