/** Counts what vitest's JSON reporter wrote. A file that could not be loaded is a failure; a test that was left out is named. */

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
  }>
}

export interface Tally {
  readonly passed: number
  readonly failed: number
  /** Full names of tests that were skipped or only announced. */
  readonly leftOut: ReadonlyArray<string>
}

export const NOTHING: Tally = { passed: 0, failed: 0, leftOut: [] }

export const tallyOf = ({ testResults }: VitestReport): Tally => {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  const failedTests = tests.filter(({ status }) => status === "failed").length
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((test) => test.status === "failed")
  ).length
  return {
    passed: tests.filter(({ status }) => status === "passed").length,
    failed: failedTests + brokenFiles,
    leftOut: tests.filter(({ status }) => status !== "passed" && status !== "failed").map(({ fullName }) => fullName)
  }
}

export const together = (tallies: ReadonlyArray<Tally>): Tally =>
  tallies.reduce(
    (sum, one) => ({
      passed: sum.passed + one.passed,
      failed: sum.failed + one.failed,
      leftOut: [...sum.leftOut, ...one.leftOut]
    }),
    NOTHING
  )
