/** What `portcullis verify --all` does on a world that somebody else has started (cli-journey.test.ts: a world takes seconds). */
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import type { Said } from "../support/cli.ts"

interface WalkGiven {
  readonly run: (words: ReadonlyArray<string>) => Promise<Said>
  /** A request whose history was altered, and which is not the newest. */
  readonly tampered: Hex
}

interface Walked {
  readonly walked: { readonly requests: number; readonly last: Hex; readonly violations: number }
  readonly checks: Readonly<Record<string, { readonly looked: number; readonly violations: ReadonlyArray<{ readonly subject: string }> }>>
}

/** A look that has long left the request behind. */
const SHORT = ["verify", "--blocks", "1", "--newest", "1"]

export const walkCommand = (given: () => WalkGiven): void => {
  const walk = async (...words: ReadonlyArray<string>) => {
    const { output, errors, code } = await given().run([...SHORT, "--all", "--page", "1", "--json", ...words])
    const { walked, checks } = JSON.parse(output) as Walked
    return { code, errors, walked, looked: checks["C3"]?.looked, broken: checks["C3"]?.violations.map(({ subject }) => subject) ?? [] }
  }

  test("finds a broken history that the newest requests do not show, and says so at once", async () => {
    const { run, tampered } = given()
    const short = await run(SHORT)
    assert.doesNotMatch(short.output, new RegExp(`C3 {2}${tampered}`))
    const { code, errors, walked, looked, broken } = await walk()
    assert.deepEqual([code, broken], [1, [tampered]])
    assert.ok(walked.requests > 1)
    assert.equal(looked, walked.requests)
    assert.match(errors, new RegExp(`^{"found":{"check":"C3","subject":"${tampered}"`, "m"))
    assert.match(errors, /^{"progress":{"requests":\d+,"last":"0x[0-9a-f]{64}","percent":100,"violations":\d+}}$/m)
    const person = await run([...SHORT, "--all"])
    assert.match(person.errors, new RegExp(`^ {4}C3 {2}${tampered} {2}its history is broken at transition 3\n(?:.*\n)*100 %: \\d+ requests, \\d+ violations$`, "m"))
    assert.match(person.output, /^\d+ violations: see docs\/runbooks\/violation.md$/m)
  })

  test("goes on behind a request that is told", async () => {
    const { tampered } = given()
    assert.deepEqual((await walk("--after", tampered)).broken, [])
    const before = `0x${(BigInt(tampered) - 1n).toString(16).padStart(64, "0")}`
    assert.deepEqual((await walk("--after", before)).broken, [tampered])
    const { walked } = await walk("--after", `0x${"ff".repeat(32)}`)
    assert.equal(walked.requests, 0)
  })
}
