/** Snapshots outlive the build that wrote them: whatever any version has stored is read, decided on and brought to its end, and what a newer one
 * has stored is left alone. */
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { birth, contextOf, decide, KNOWN_MACHINE_VERSIONS, knowsMachineVersion, MACHINE_VERSION, migrate } from "../../machines/decide.ts"
import { ENDS, isEnd, JOURNEY, type RequestState } from "../../src/domain/journey.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import { reachedSnapshots } from "./reached-snapshots.ts"
import { ELSEWHERE, FACTS, HOME } from "./request-events.ts"

const STATES: ReadonlyArray<RequestState> = [...JOURNEY, ...ENDS]
const REDRIVEN: RequestEvent = { type: "redriven", by: "operator", why: "mended" }

const roundTrip = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
const stateOf = (snapshot: unknown): RequestState => (snapshot as { value: RequestState }).value

const after = (snapshot: unknown, ...events: ReadonlyArray<RequestEvent>): unknown =>
  events.reduce((now, event) => {
    const decision = decide({ snapshot: roundTrip(now), machineVersion: MACHINE_VERSION }, event)
    return decision.type === "decided" ? decision.snapshot : now
  }, snapshot)

interface Stored {
  readonly machineVersion: number
  readonly snapshot: { readonly value: RequestState }
}

/** `reached`: every form that a snapshot of a version could take, by reached-snapshots.ts. */
const corpus = (name: string) =>
  JSON.parse(readFileSync(new URL(`corpus/decryption-request.${name}.json`, import.meta.url), "utf8")) as ReadonlyArray<Stored>

const EVER_STORED = ["v1", "v1.reached", "v2.reached"]

describe("snapshots outlive the build that wrote them", () => {
  test.each(EVER_STORED)("every snapshot shape ever stored is still read and still decided on (%s)", (name) => {
    const stored = corpus(name)
    expect(new Set(stored.map(({ snapshot }) => snapshot.value))).toEqual(new Set(STATES))
    for (const one of stored) {
      expect([HOME.logIndex, ELSEWHERE.logIndex]).toContain(contextOf(one).anchor.logIndex)
      const halted = decide(one, { type: "halted", reason: "test", detail: "" })
      expect(halted.type).toBe(isEnd(one.snapshot.value) ? "ignored" : "decided")
    }
  })

  test.each(EVER_STORED)("every request that was under way, or halted, finishes (%s)", (name) => {
    const living = corpus(name).filter(({ snapshot: { value } }) => !isEnd(value) || value === "halted")
    for (const one of living) {
      const decision = decide(one, one.snapshot.value === "halted" ? REDRIVEN : { type: "result-lost" })
      const now = decision.type === "decided" ? decision.snapshot : migrate(one)
      expect(stateOf(after(now, ...FACTS)), JSON.stringify(one)).toBe("finalized")
    }
  })

  test("the corpus of this version has every form that its snapshots can take", () => {
    expect(corpus(`v${MACHINE_VERSION}.reached`)).toEqual(roundTrip(reachedSnapshots()))
  })

  test("a build of version 1 leaves version 2 alone", () => {
    const migrationsOfThatBuild = {}
    expect(() => migrate({ snapshot: birth(HOME).snapshot, machineVersion: 2 }, 1, migrationsOfThatBuild)).toThrow(/not known/)
    expect(migrate({ snapshot: "v1", machineVersion: 1 }, 1, migrationsOfThatBuild)).toBe("v1")
    expect(KNOWN_MACHINE_VERSIONS).toEqual([1, 2])
  })

  test("an unknown version is never guessed at", () => {
    expect(knowsMachineVersion(MACHINE_VERSION)).toBe(true)
    for (const version of [MACHINE_VERSION + 1, 0, -1, 1.5, Number.NaN]) {
      expect(knowsMachineVersion(version), String(version)).toBe(false)
      const stored = { snapshot: birth(HOME).snapshot, machineVersion: version }
      expect(() => decide(stored, REDRIVEN)).toThrow(/not known/)
    }
  })

  test("migrations are applied one version at a time, in order", () => {
    const table = { 1: (old: unknown) => [old, "to 2"], 2: (old: unknown) => [old, "to 3"] }
    expect(migrate({ snapshot: "v1", machineVersion: 1 }, 3, table)).toEqual([["v1", "to 2"], "to 3"])
    expect(migrate({ snapshot: "v3", machineVersion: 3 }, 3, table)).toBe("v3")
    expect(() => migrate({ snapshot: "v1", machineVersion: 1 }, 4, table)).toThrow(/not known/)
  })

  test("what is not a snapshot is not decided on", () => {
    const shapes = [null, 7, {}, { value: "nowhere", context: { anchor: HOME, known: {} } }, { value: "detected", context: {} }]
    for (const snapshot of shapes) {
      expect(() => decide({ snapshot, machineVersion: MACHINE_VERSION }, REDRIVEN)).toThrow()
    }
  })
})
