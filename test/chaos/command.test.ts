import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { readOptions } from "../../chaos/options.ts"
import { columnsOf, eventLine, headLine, reportText, type Run } from "../../chaos/report.ts"
import { USUAL_SHAPE } from "../../chaos/rig.ts"
import { SCENARIOS } from "../../chaos/standing-scenarios.ts"
import { VERBS } from "../../chaos/vocabulary.ts"

const RUN = fileURLToPath(new URL("../../chaos/run.ts", import.meta.url))
const chaos = (...words: ReadonlyArray<string>) => spawnSync(process.execPath, [RUN, ...words], { encoding: "utf8" })
const read = (...words: ReadonlyArray<string>) => readOptions(words, SCENARIOS)

describe("npm run chaos", () => {
  test.each([
    [[], "name a --scenario, or see them all with --list"],
    [["--scenario", "nats-lost-everythin"], "there is no scenario nats-lost-everythin; did you mean nats-lost-everything?"],
    [["--scenario", "tea-party"], "there is no scenario tea-party; --list shows them"],
    [["--scenarios", "x"], "--scenarios is not an option; did you mean --scenario?"],
    [["--scenario", "slow-store", "--rig", "real"], "--rig is sim or process, not real"],
    [["--scenario", "slow-store", "--seed", "1.5"], `--seed takes a whole number from 0 to 2147483647, not "1.5"`],
    [["--scenario", "slow-store", "--seed", "many"], `--seed takes a whole number from 0 to 2147483647, not "many"`],
    [["--scenario", "slow-store", "--minutes", ""], `--minutes takes a number from 0 to 1440, not ""`],
    [["--scenario", "slow-store", "--requests", "5"], "--requests is for scenarios that ask all at once: thundering-herd"]
  ] as const)("%j is answered with what is wrong: %s", (words, sentence) => {
    expect(read(...words)).toBe(sentence)
  })

  test("reads what it is given", () => {
    expect(read("--scenario", "thundering-herd", "--seed", "7", "--minutes", "0.5", "--requests", "20", "--json")).toMatchObject({
      scenario: { name: "thundering-herd" },
      seed: 7,
      minutes: 0.5,
      requests: 20,
      json: true,
      rig: "process"
    })
  })

  test("ends with 2 and one sentence when it cannot be run, and with 0 when it lists", () => {
    const bad = chaos("--scenario", "nats-lost")
    expect([bad.status, bad.stdout]).toEqual([2, ""])
    expect(bad.stderr).toMatch(/^chaos: there is no scenario nats-lost; .*\n$/)
    const list = chaos("--list")
    expect(list.status).toBe(0)
    for (const { name } of [...SCENARIOS, ...VERBS]) expect(list.stdout).toContain(`  ${name}  (`)
    const { scenarios, verbs } = JSON.parse(chaos("--list", "--json").stdout) as Record<string, ReadonlyArray<unknown>>
    expect([scenarios?.length, verbs?.length]).toEqual([SCENARIOS.length, VERBS.length])
  })
})

describe("the report of a run", () => {
  const scenario = SCENARIOS.find(({ name }) => name === "thundering-herd")!
  const columns = columnsOf(USUAL_SHAPE)

  test("has a column for every node, and a mark in the column of the one it happened to", () => {
    const line = eventLine(columns, { atMs: 1_234, node: "g2", kind: "injected", text: "kill g2" })
    expect(line).toMatch(/^ {4}1\.234 {2}\. {2}X {2}\. .* g2: kill g2$/)
    expect(line.indexOf("X")).toBe(headLine(columns).indexOf("g2"))
    const marks = (["detected", "finalized", "refused"] as const).map((state) => eventLine(columns, { atMs: 0, node: "g1", kind: "fact", text: `${state} 0x1` })[11])
    expect(marks).toEqual(["1", "F", "E"])
    expect(eventLine(columns, { atMs: 0, node: "load", kind: "raised", text: "3" })).toMatch(/\+ {2,3}load: 3$/)
  })

  test("says what was injected, what was checked, what was violated and how to do it again", () => {
    const verdict = {
      ok: false,
      scenario: scenario.name,
      seed: 11,
      requests: 20,
      ended: { finalized: 19, refused: 1, expired: 0, orphaned: 0, cancelled: 0, halted: 0 },
      injected: { kill: 1 },
      checks: { C1: "held", C2: "violated" },
      violations: ["C2: 0x1 was fulfilled twice"]
    } as const
    const run: Run = { scenario, shape: USUAL_SHAPE, rig: "process", minutes: 0.5, requests: 20, events: [{ atMs: 5, node: "g1", kind: "fact", text: "detected 0x1" }], verdict }
    const text = reportText(run)
    for (const part of [scenario.sentence, "injected: kill 1", "C1 held, C2 violated", "VIOLATION C2: 0x1 was fulfilled twice", "ended: finalized 19, refused 1", "detected 0x1"])
      expect(text).toContain(part)
    expect(text).toContain("npm run chaos -- --scenario thundering-herd --seed 11 --minutes 0.5 --rig process --requests 20")
  })
})
