/** The file of lane keys as an operator may have mistyped it. What is in it is never repeated. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Problems, readLanes } from "../../bin/gateway-from-settings.ts"

const [ONE, OTHER] = [`0x${"7e".repeat(32)}`, `0x${"7d".repeat(32)}`]

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "portcullis-lanes-"))))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const problemsOf = (...lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const path = join(folder, "keys")
  writeFileSync(path, lines.join("\n"), { mode: 0o600 })
  const problems = new Problems()
  readLanes(problems, path)
  return problems.found
}

test("every key is a lane", () => {
  expect(problemsOf(ONE, "", OTHER, "")).toEqual([])
})

test("a key that stands there twice would be two drivers of one lane, and is refused by its number", () => {
  expect(problemsOf(ONE, OTHER, ONE.toUpperCase().replace("0X", "0x"))).toEqual([expect.stringContaining("has a key twice: take out number 3")])
})

test("a line that is no key is refused without a word of it", () => {
  const [problem] = problemsOf(ONE, "0x7e7e")
  expect(problem).toMatch(/^PORTCULLIS_LANE_KEYS_FILE must name/)
  expect(problem).not.toContain("7e7e")
})
