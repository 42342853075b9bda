/** What is generated about metrics and errors is fresh, and nobody speaks of a metric that no code declares. */
import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { METRICS } from "../../src/telemetry/metrics.ts"
import { COUNTERS, GAUGES } from "../../src/telemetry/telemetry.port.ts"
import { allErrors, ERRORS_PAGE, errorsIn, errorsPage } from "../../tools/list-errors.ts"
import { METRICS_PAGE, metricsPage } from "../../tools/list-metrics.ts"
import { readSources, ROOT } from "./source-files.ts"

const onDisk = (page: string) => (existsSync(join(ROOT, page)) ? readFileSync(join(ROOT, page), "utf8") : "")

test(`${METRICS_PAGE} is what the declarations give`, () => {
  expect(onDisk(METRICS_PAGE)).toBe(metricsPage())
})

test(`${ERRORS_PAGE} is what the sources give: run \`npm run generate\` otherwise`, () => {
  expect(onDisk(ERRORS_PAGE)).toBe(errorsPage())
})

describe.each(METRICS.map((metric) => [metric.name, metric] as const))("%s", (name, { type, help, labels, buckets, because }) => {
  test("is named like its kind: Prometheus' conventions for names and units", () => {
    expect(name).toMatch(/^gateway_[a-z]+(_[a-z]+)*$/)
    expect(name.endsWith("_total")).toBe(type === "counter")
    if (type === "histogram") expect(name.endsWith("_seconds")).toBe(true)
  })

  test("says what it is and why", () => {
    expect(help.length).toBeGreaterThan(10)
    expect(because.length).toBeGreaterThan(20)
  })

  test("has buckets that rise, if and only if it is a histogram", () => {
    expect(buckets !== undefined).toBe(type === "histogram")
    expect(buckets ?? []).toEqual([...new Set(buckets)].toSorted((a, b) => a - b))
  })

  test("has a bounded number of series", () => {
    const values = Object.values(labels).map((rule) => ("form" in rule ? rule.differentMax : rule.length) + 1)
    const series = values.reduce((product, count) => product * count, 1) * ((buckets?.length ?? 0) + 3)
    expect(series).toBeLessThan(4_000)
  })
})

test("every name is declared once", () => {
  const names = METRICS.map(({ name }) => name)
  expect(names).toEqual([...new Set(names)])
})

/** A metric's name in a text: with the endings that its series have, or as the beginning of several (`gateway_shares_*`). */
const MENTION = /\bgateway_[a-z]+(?:_[a-z]+)*(?:_\*|_$)?/gm
const SERIES_ENDING = /_(bucket|sum|count)$/

const undeclaredIn = (text: string): ReadonlyArray<string> => {
  const names = METRICS.map(({ name }) => name as string)
  return [...text.matchAll(MENTION)]
    .map(([mention]) => mention)
    .filter((mention) =>
      mention.endsWith("*")
        ? !names.some((name) => name.startsWith(mention.slice(0, -1)))
        : !names.includes(mention) && !names.includes(mention.replace(SERIES_ENDING, ""))
    )
}

test("documents, dashboards and rules speak only of declared metrics", () => {
  const files = globSync(["README.md", "docs/**/*.md", "ops/**/*.{json,yml,yaml,md}"], { cwd: ROOT })
  expect(files).toContain(METRICS_PAGE)
  expect(files.flatMap((file) => undeclaredIn(onDisk(file)).map((name) => `${file}: ${name}`))).toEqual([])
})

test("a metric that nobody declared is noticed", () => {
  const text = "alert on gateway_requests_lost_total and gateway_share_reply_seconds_bucket"
  expect(undeclaredIn(text)).toEqual(["gateway_requests_lost_total"])
})

test("every counter and gauge is moved by somebody", () => {
  const product = readSources().filter(({ path }) => /^(src|actors|bin)\//.test(path) && !path.startsWith("src/telemetry/"))
  const isMoved = (name: string) => product.some(({ text }) => new RegExp(`(?:count|gauge)\\(\\s*"${name}"`).test(text))
  expect([...Object.keys(COUNTERS), ...Object.keys(GAUGES)].filter((name) => !isMoved(name))).toEqual([])
})

describe("errors", () => {
  test("have tags that are theirs alone, and say what is known", () => {
    const errors = allErrors()
    expect(errors.length).toBeGreaterThan(40)
    expect(errors.map(({ tag }) => tag).toSorted()).toEqual([...new Set(errors.map(({ tag }) => tag))].toSorted())
    expect(errors.filter(({ known }) => known.length < 20).map(({ file }) => file)).toEqual([])
  })

  test("have a fate wherever the journey can meet them", () => {
    const met = allErrors().filter(({ file }) => !/^(bin|src\/adapters)\//.test(file))
    expect(met.filter(({ fate }) => fate === "").map(({ tag }) => tag)).toEqual([])
  })

  test("are found in each of the forms in which they are written", () => {
    const text = [
      "/** Header. */",
      `export class A extends Schema.TaggedError<A>()("A", { x: Schema.String }) {}`,
      "",
      "/** B is",
      " * known. */",
      `export class B extends Schema.TaggedError<B>()("B", {`,
      "  y: Schema.Int",
      "}) {",
      `  readonly fate: Fate = "retry"`,
      "}",
      `export class C extends TaggedError("C")<{ readonly reason: string }> {`,
      `  readonly fate: Fate = "halt"`,
      "  override get message() {",
      `    return ""`,
      "  }",
      "}",
      `class D extends Data.TaggedError("D")<{`,
      "  readonly z: 1",
      "}> {",
      "  get fate(): Fate {",
      "    return this.z",
      "  }",
      "}"
    ].join("\n")
    expect(errorsIn("a.ts", text).map(({ tag, fate, known }) => [tag, fate, known])).toEqual([
      ["A", "", "Header."],
      ["B", "retry", "B is known."],
      ["C", "halt", "Header."],
      ["D", "by reason", "Header."]
    ])
  })

  test("every tagged error of the product is on the page", () => {
    const classes = readSources()
      .filter(({ path }) => /^(src|machines|actors|bin)\//.test(path))
      .flatMap(({ text }) => [...text.matchAll(/extends (?:\w+\.)?TaggedError\b/g)])
    expect(allErrors().length).toBe(classes.length)
  })
})
