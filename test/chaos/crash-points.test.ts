import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { CRASH_POINTS, type CrashWith } from "../../chaos/crash-points.ts"
import { ALWAYS, crashAt, listCrashSites, nameOf, sitesOf, type CrashSite } from "../../chaos/simulator/crash-sites.ts"
import type { Mutation } from "../../chaos/simulator/surroundings.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"

const [alone, withAnother] = [await listCrashSites("killed"), await listCrashSites("frozen")]

/** A site that is also one of the fifteen points has one history, which is looked at twice. */
const runs = new Map<string, ReturnType<typeof crashAt>>()
const runAt = (site: CrashSite, how: CrashWith): ReturnType<typeof crashAt> => {
  const key = `${how} ${nameOf(site)}`
  const known = runs.get(key) ?? crashAt(site, how)
  runs.set(key, known)
  return known
}

const survives = async (site: CrashSite, how: CrashWith = "killed"): Promise<void> => {
  const { hasCrashed, wrong, trace } = await runAt(site, how)
  expect(hasCrashed).toBe(true)
  expect(wrong, trace.join("\n")).toEqual([])
}

describe("a request is answered once, whenever the gateway is killed", () => {
  test("what is tried only twice is done all the time", () => {
    const seen = new Set(alone.map(({ what }) => what))
    expect([...ALWAYS].filter((what) => !seen.has(what))).toEqual([])
  })

  test.each(alone.map((site) => [nameOf(site), site] as const))("%s", async (_name, site) => survives(site))
})

describe("the fifteen crash points", () => {
  test("are all there, in order, and each is a place that a request comes by", () => {
    expect(CRASH_POINTS.map(({ row }) => row)).toEqual(Array.from({ length: 15 }, (_, index) => index + 1))
    for (const point of CRASH_POINTS) {
      for (const place of point.places) {
        const sites = sitesOf({ ...point, places: [place] }, point.with === "frozen" ? withAnother : alone)
        expect(sites, `point ${point.row}: ${JSON.stringify(place)}`).not.toEqual([])
      }
    }
  })

  test("that are tried on real processes name a test that exists", () => {
    for (const { row, realProcess } of CRASH_POINTS) {
      if (realProcess !== null) expect(readFileSync(realProcess.file, "utf8"), `point ${row}`).toContain(`"${realProcess.test}"`)
    }
  })

  for (const point of CRASH_POINTS) {
    const sites = sitesOf(point, point.with === "frozen" ? withAnother : alone)
    describe(`${point.row}: ${point.diesAfter} (${point.with})`, () => {
      test.each(sites.map((site) => [nameOf(site), site] as const))("%s", async (_name, site) => survives(site, point.with))
    })
  }
})

describe("a gateway that moves its cursor before it writes the requests, and reads nothing twice", () => {
  const cursorFirst: Mutation = (services) =>
    Layer.provideMerge(
      Layer.effect(
        DetectionLedger,
        Effect.map(DetectionLedger, (real) => ({
          ...real,
          // The second reading of final blocks would find what was lost.
          birthMissed: (found: Parameters<typeof real.birthMissed>[0]) => real.birthMissed({ ...found, requests: [] }),
          advance: (step: Parameters<typeof real.advance>[0]) =>
            step.requests.length === 0
              ? real.advance(step)
              : Effect.andThen(
                  real.advance({ ...step, requests: [] }),
                  Effect.suspend(() => real.advance({ ...step, expected: step.blocks.at(-1)?.hash ?? null }))
                )
        }))
      ),
      services
    )

  test("loses a request when it is killed in between, and that is noticed", async () => {
    const sites = await listCrashSites("killed", cursorFirst)
    const between = sites.filter(({ moment, what, during }) => moment === "after" && what === "advance-cursor" && during === "not detected yet")
    const runs = await Promise.all(between.map((site) => crashAt(site, "killed", cursorFirst)))
    expect(runs.flatMap(({ wrong }) => wrong)).toContain("the request is still unknown")
  })
})
