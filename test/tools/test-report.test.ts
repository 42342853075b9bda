/** The line that everybody trusts must count right. */
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { tallyOf, together } from "../../tools/test-report.ts"

const file = (status: string, tests: Readonly<Record<string, string>>) => ({
  name: "a.test.ts",
  status,
  message: "",
  assertionResults: Object.entries(tests).map(([fullName, of]) => ({ fullName, status: of }))
})

describe("the tally of a test run", () => {
  test("counts what passed and what failed", () => {
    const testResults = [file("passed", { a: "passed", b: "passed" }), file("failed", { c: "failed", d: "passed" })]
    assert.deepEqual(tallyOf({ testResults }), { passed: 3, failed: 1, leftOut: [] })
  })

  test("counts a file that could not be loaded as one failure", () => {
    assert.equal(tallyOf({ testResults: [file("failed", {})] }).failed, 1)
    assert.equal(tallyOf({ testResults: [file("failed", { a: "passed" })] }).failed, 1)
  })

  test("names what was skipped or only announced", () => {
    assert.deepEqual(tallyOf({ testResults: [file("passed", { a: "skipped", b: "todo", c: "passed" })] }).leftOut, ["a", "b"])
  })

  test("adds up over stages", () => {
    const one = { passed: 1, failed: 2, leftOut: ["x"] }
    assert.deepEqual(together([one, one]), { passed: 2, failed: 4, leftOut: ["x", "x"] })
    assert.deepEqual(together([]), { passed: 0, failed: 0, leftOut: [] })
  })
})
