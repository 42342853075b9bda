/** A strict reader of the Prometheus text format 0.0.4, for tests: everything it does not know is an error. */
import assert from "node:assert/strict"

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: "counter" | "gauge" | "histogram" | "summary" | "untyped"
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

/** Numbers as Go's ParseFloat reads them, which ignores the case of NaN (prom-client writes "Nan"). */
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([Nn]a[Nn]|[+-]Inf|[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

/** By name; fails with the line that is wrong. */
export const readPrometheus = (text: string): ReadonlyMap<string, Family> => {
  assert(text.endsWith("\n"), "the last line ends")
  const families = new Map<string, Family & { samples: Array<Sample> }>()
  let current: (Family & { samples: Array<Sample> }) | undefined
  let help: { readonly name: string; readonly text: string } | undefined
  for (const line of text.split("\n")) {
    if (line === "") continue
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === "HELP") {
      assert(!families.has(name), `${name} is described once`)
      help = { name, text: rest }
    } else if (keyword === "TYPE") {
      assert(help?.name === name && help.text.length > 0, `${name} has a help line before its type`)
      assert(/^(counter|gauge|histogram|summary|untyped)$/.test(rest), `${name} has a type that is known`)
      current = { name, type: rest as Family["type"], help: help.text, samples: [] }
      families.set(name, current)
    } else {
      const sample = readSample(line)
      assert(current !== undefined && belongs(current, sample.name), `a sample stands under its own family: ${line}`)
      current.samples.push(sample)
    }
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family)
  return families
}

/** The sum over all series that have these labels; 0 when there is none. */
export const valueOf = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number => {
  const family = families.get(name.replace(/_(bucket|sum|count)$/, "")) ?? families.get(name)
  const found = (family?.samples ?? []).filter(
    (sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
  )
  return found.reduce((sum, { value }) => sum + value, 0)
}

const readSample = (line: string): Sample => {
  const [, name = "", inner = "", value = ""] = LINE.exec(line) ?? assert.fail(`not a sample: ${line}`)
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < inner.length) {
    const [, label = "", text = ""] = LABEL.exec(inner) ?? assert.fail(`not labels: ${line}`)
    assert(!(label in labels), `a label stands once: ${line}`)
    labels[label] = text
  }
  return { name, labels, value: Number(value.replace(/Inf$/, "Infinity").replace(/^nan$/i, "NaN")) }
}

const belongs = ({ name, type }: Family, sample: string): boolean =>
  type === "histogram"
    ? [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample)
    : type === "summary"
      ? [name, `${name}_sum`, `${name}_count`].includes(sample)
      : sample === name

/** Buckets rise to +Inf, and +Inf is the count. */
const checkHistogram = ({ name, samples }: Family): void => {
  const series = Map.groupBy(samples, ({ labels }) =>
    JSON.stringify(Object.entries(labels).filter(([label]) => label !== "le").toSorted())
  )
  for (const some of series.values()) {
    const buckets = some.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels }) => (labels["le"] === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels["le"])))
    assert.deepEqual(bounds, bounds.toSorted((a, b) => a - b), `${name}: bounds rise`)
    assert.equal(bounds.at(-1) ?? Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, `${name}: the last bound is +Inf`)
    const held = buckets.map(({ value }) => value)
    assert.deepEqual(held, held.toSorted((a, b) => a - b), `${name}: buckets rise`)
    const count = some.find((sample) => sample.name === `${name}_count`)
    assert.equal(buckets.at(-1)?.value, count?.value, `${name}: +Inf holds all`)
  }
}
