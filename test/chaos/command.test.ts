import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, test } from "vitest"
import { carriedOver, environmentFor, readBuild, unknownIn, upgradeLines } from "../../chaos/builds.ts"
import { delaysOf } from "../../chaos/delays.ts"
import { readOptions } from "../../chaos/options.ts"
import { columnsOf, eventLine, headLine, reportText, type Run } from "../../chaos/report.ts"
import { USUAL_SHAPE } from "../../chaos/rig.ts"
import { SCENARIOS } from "../../chaos/standing-scenarios.ts"
import { VERBS } from "../../chaos/vocabulary.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"

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
    [["--scenario", "slow-store", "--requests", "5"], "--requests is for scenarios that ask all at once: thundering-herd"],
    [["--scenario", "rolling-restart-under-load", "--from-build", "x", "--rig", "sim"], "--from-build is for real processes: --rig process"],
    [
      ["--scenario", "slow-store", "--from-build", "x"],
      "--from-build is for scenarios that start gateways again, and slow-store does not; take rolling-restart-under-load"
    ],
    [["--scenario", "rolling-restart-under-load", "--from-build", "x", "--keep-old", "3"], `--keep-old takes a whole number from 0 to 2, not "3"`],
    [
      ["--scenario", "rolling-restart-under-load", "--keep-old", "1"],
      "--keep-old says how many gateways stay with the build of --from-build: name that too"
    ]
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

describe("another build", () => {
  const folder = mkdtempSync(join(tmpdir(), "another-build-"))
  afterAll(() => rmSync(folder, { recursive: true }))
  const from = (build: string) => read("--scenario", "rolling-restart-under-load", "--from-build", build, "--keep-old", "1")

  test("is a checkout that can be run, and not this one", () => {
    expect(from(join(folder, "nowhere"))).toMatch(/nowhere: it is not a directory$/)
    expect(from(folder)).toMatch(/ has no package\.json: name a checkout of Portcullis$/)
    writeFileSync(join(folder, "package.json"), `{ "version": "0.0.9" }`)
    expect(from(folder)).toMatch(/ has no bin\/portcullis\.js: name a checkout of Portcullis$/)
    mkdirSync(join(folder, "bin"))
    writeFileSync(join(folder, "bin/portcullis.js"), "")
    writeFileSync(join(folder, ".env.example"), "# ours\n#PORTCULLIS_BUS=embedded\nPORTCULLIS_ROLES=api\n")
    expect(from(folder)).toMatch(/ has no node_modules: run npm ci there first$/)
    mkdirSync(join(folder, "node_modules"))
    expect(from(folder)).toMatchObject({ upgradeFrom: { kept: 1, build: { name: "0.0.9", cli: join(folder, "bin/portcullis.js") } } })
    expect(from(fileURLToPath(new URL("../..", import.meta.url)))).toMatch(/ is this very checkout: name one of another commit$/)
  })

  test("is not given settings that it does not know, and the report says which", () => {
    const build = readBuild(folder)
    if (typeof build === "string") throw new TypeError(build)
    const environment = { PORTCULLIS_ROLES: "api", PORTCULLIS_NEWER: "1", NODE_OPTIONS: "" }
    expect(environmentFor(build, environment)).toEqual({ PORTCULLIS_ROLES: "api", NODE_OPTIONS: "" })
    expect(environmentFor(undefined, environment)).toEqual(environment)
    expect(upgradeLines({ build, to: "0.1.0", kept: 1 }, ["g1", "g2", "g3"], unknownIn(build, environment))).toEqual([
      "g1, g2: first from 0.0.9, and from 0.1.0 whenever they are started again",
      "g3: always from 0.0.9",
      "the KMS nodes: always from 0.0.9; they belong to others, who upgrade when they like",
      "PORTCULLIS_NEWER: not given to 0.0.9, which does not know it"
    ])
  })
})

describe("how long requesters waited", () => {
  const id = (digit: string) => `0x${digit.repeat(64)}` as RequestId
  const request = (digit: string, ...history: ReadonlyArray<readonly [to: string, atMs: number]>) =>
    ({ stored: { id: id(digit) }, history: history.map(([to, atMs]) => ({ to, atMs })) }) as unknown as AuditedRequest

  test("counts from the block to the last time that the result came on chain, and only what was answered", () => {
    const requests = [
      request("1", ["detected", 1_100], ["submitted", 1_500], ["finalized", 9_000]),
      request("2", ["detected", 1_100], ["submitted", 1_500], ["threshold-verified", 2_000], ["submitted", 3_000]),
      request("3", ["detected", 1_100], ["refused", 1_200]),
      request("4", ["submitted", 99_000])
    ]
    const raised = new Map(["1", "2", "3"].map((digit) => [id(digit), 1_000]))
    expect(delaysOf(requests, raised)).toEqual({ requests: 2, p50Ms: 500, p99Ms: 2_000, slowestMs: 2_000 })
    expect(delaysOf(requests, new Map())).toBeUndefined()
  })

  test("says how many were begun by one build and gone on with by another", () => {
    const written = (...workers: ReadonlyArray<string>) => ({ history: workers.map((worker) => ({ worker })) }) as unknown as AuditedRequest
    const builds = new Map([["a-1", "old"], ["b-1", "old"], ["a-2", "new"]])
    expect(carriedOver([written("a-1", "b-1"), written("a-1", "a-2"), written("a-2"), written("c-1", "a-2")], builds)).toBe(1)
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
    const run: Run = {
      ...{ scenario, shape: USUAL_SHAPE, rig: "process", minutes: 0.5, requests: 20, verdict },
      ...{ typed: ["--from-build", "../old"], builds: { g1: ["0.0.9", "0.1.0", "0.1.0"] }, delays: { requests: 20, p50Ms: 800, p99Ms: 2_000, slowestMs: 2_049 } },
      events: [{ atMs: 5, node: "g1", kind: "fact", text: "detected 0x1" }]
    }
    const text = reportText(run)
    for (const part of [scenario.sentence, "injected: kill 1", "C1 held, C2 violated", "VIOLATION C2: 0x1 was fulfilled twice", "ended: finalized 19, refused 1", "detected 0x1"])
      expect(text).toContain(part)
    expect(text).toContain("npm run chaos -- --scenario thundering-herd --seed 11 --minutes 0.5 --rig process --requests 20 --from-build ../old")
    expect(text).toContain("answered: half of 20 within 0.8 s, 99 % within 2.0 s, the slowest after 2.0 s")
    expect(text).toContain("g1:       served from 0.0.9, then 0.1.0 (2 times)")
  })
})
