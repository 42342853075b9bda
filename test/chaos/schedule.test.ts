import { describe, expect, test } from "vitest"
import { runCampaign } from "../../chaos/campaign.ts"
import { kindOf, nothingToUndo, targetsOf, USUAL_SHAPE, type Levers, type Rig, type RigEvent, type Settled } from "../../chaos/rig.ts"
import type { Scenario } from "../../chaos/scenario.ts"
import { timetable } from "../../chaos/schedule.ts"
import { seededRandom } from "../../chaos/seeded-random.ts"
import { SCENARIOS } from "../../chaos/standing-scenarios.ts"
import { verbNamed, VERBS } from "../../chaos/vocabulary.ts"
import { ENDS } from "../../src/domain/journey.ts"

const shapeOf = (scenario: Scenario) => ({ ...USUAL_SHAPE, ...scenario.shape })

describe("the timetable of a scenario", () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))("%s aims known verbs at targets they can hit, within their ranges", (_, scenario) => {
    const shape = shapeOf(scenario)
    const steps = timetable(scenario, shape, 7, scenario.roundMs * 3)
    expect(steps.length).toBeGreaterThanOrEqual(3)
    for (const { verb: name, target, peer, values, forMs } of steps) {
      const verb = verbNamed(name)!
      expect(verb.targets, `${name} ${target}`).toContain(kindOf(target))
      expect(targetsOf(shape)).toContain(target)
      expect(verb.takesPeer === true || peer === undefined).toBe(true)
      expect(forMs === undefined).toBe(verb.duration === "at once")
      for (const rig of scenario.rigs) expect(verb.rigs).toContain(rig)
      for (const [parameter, value] of Object.entries(values)) {
        const { least, most } = verb.parameters[parameter]!
        expect(value >= least && value <= most, `${name} ${parameter} ${value}`).toBe(true)
      }
    }
    const named = scenario.round.flatMap(({ verb, with: given = {} }) => Object.keys(given).filter((name) => !(name in verbNamed(verb)!.parameters)))
    expect(named).toEqual([])
  })

  test("is the same for the same seed, and another for another", () => {
    for (const scenario of SCENARIOS) expect(timetable(scenario, shapeOf(scenario), 1, 60_000)).toEqual(timetable(scenario, shapeOf(scenario), 1, 60_000))
    const drawn = SCENARIOS.filter(({ round }) => round.some(({ atMs }) => typeof atMs !== "number"))
    for (const scenario of drawn) expect(timetable(scenario, shapeOf(scenario), 1, 60_000)).not.toEqual(timetable(scenario, shapeOf(scenario), 2, 60_000))
  })

  test("uses the whole vocabulary, so that no verb stands there unused", () => {
    const used = new Set(SCENARIOS.flatMap(({ round }) => round.map(({ verb }) => verb)))
    expect(VERBS.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([])
  })
})

describe("seeded chance", () => {
  test("stays within its bounds, reaches both ends and repeats itself", () => {
    const [one, other] = [seededRandom(3), seededRandom(3)]
    const drawn = Array.from({ length: 500 }, () => one.between(1, 4))
    expect(drawn).toEqual(Array.from({ length: 500 }, () => other.between(1, 4)))
    expect(new Set(drawn)).toEqual(new Set([1, 2, 3, 4]))
    expect(seededRandom(3).choose(["a", "b", "c"], 5).toSorted()).toEqual(["a", "b", "c"])
  })
})

describe("a campaign", () => {
  /** A rig without a cluster: time is a number, and levers remember that they were pulled. */
  const paper = (lose: number, failing?: keyof Levers, told: { readonly ended?: Partial<Settled["ended"]>; readonly stuck?: keyof Levers } = {}) => {
    let now = 0
    const pulled: Array<string> = []
    const events: Array<RigEvent> = []
    let raised = 0
    const levers = new Proxy({} as Levers, {
      get: (_, name) => async (target: string) => {
        if (name === failing) throw new TypeError("the lever broke")
        pulled.push(`${now} ${String(name)} ${target}`)
        return async () => {
          if (name === told.stuck) throw new TypeError("the lever is stuck")
          pulled.push(`${now} undo ${String(name)} ${target}`)
        }
      }
    })
    const rig: Rig<string> = {
      name: "sim",
      shape: USUAL_SHAPE,
      targets: targetsOf(USUAL_SHAPE),
      levers,
      nowMs: () => now,
      pass: async (ms) => void (now += ms),
      raise: async (count) => {
        raised += count
        return []
      },
      settle: async () => ({
        ended: { ...(Object.fromEntries(ENDS.map((end) => [end, 0])) as Record<(typeof ENDS)[number], number>), finalized: raised - lose, ...told.ended },
        open: Array.from({ length: lose }, () => ({ id: "0x01" as const, state: undefined }))
      }),
      records: async () => "records",
      events: () => events,
      note: (event) => void events.push({ atMs: now, ...event }),
      stop: nothingToUndo
    }
    return { rig, pulled, events }
  }
  const scenario: Scenario = {
    name: "on-paper",
    sentence: "A server is frozen while another is killed.",
    load: { type: "steady", perSecond: 2 },
    roundMs: 5_000,
    round: [
      { verb: "freeze", on: "n1", atMs: 1_000, forMs: 2_000 },
      { verb: "kill", on: "n2", atMs: 2_000, forMs: 500 }
    ],
    rigs: ["sim"]
  }

  test("raises what is due, injects and undoes in order of time, and says what was checked", async () => {
    const { rig, pulled } = paper(0)
    const verdict = await runCampaign(rig, { scenario, seed: 1, spanMs: 10_000, check: (records) => [{ name: "C1", examined: records.length, violations: [] }] })
    expect(pulled.slice(0, 4)).toEqual(["1000 freeze n1", "2000 kill n2", "2500 start n2", "3000 thaw n1"])
    expect(verdict).toMatchObject({ ok: true, requests: 20, injected: { freeze: 2, kill: 2 }, checks: { ended: "held", C1: "held" }, violations: [] })
  })

  test("is no success when a request is lost, a check fails or a sentence of the scenario does not hold", async () => {
    const lost = await runCampaign(paper(1).rig, { scenario, seed: 1, spanMs: 0, check: () => [] })
    expect(lost).toMatchObject({ ok: false, checks: { ended: "violated" } })
    expect(lost.violations[0]).toMatch(/never detected/)
    const check = () => [{ name: "C2", examined: 1, violations: ["two effects"] }]
    expect(await runCampaign(paper(0).rig, { scenario, seed: 1, spanMs: 0, check })).toMatchObject({ ok: false, violations: ["C2: two effects"] })
    const holds = [{ sentence: "nobody was killed", holds: ({ injected }: { readonly injected: Readonly<Record<string, number>> }) => injected["kill"] === undefined }]
    const unmet = await runCampaign(paper(0).rig, { scenario: { ...scenario, holds }, seed: 1, spanMs: 0, check: () => [] })
    expect(unmet.violations).toEqual(["this does not hold: nobody was killed"])
  })

  test("is no success when a request ended as the scenario does not allow, or is missing from the count", async () => {
    const run = (ended: Partial<Settled["ended"]>, mayEnd: Scenario["mayEnd"] = ["finalized", "refused"]) =>
      runCampaign(paper(0, undefined, { ended }).rig, { scenario: { ...scenario, mayEnd }, seed: 1, spanMs: 0, check: () => [] })
    expect((await run({ finalized: 8, expired: 2 })).violations).toEqual(["ended: 2 ended expired, and only finalized or refused is allowed here"])
    expect((await run({ finalized: 8, refused: 2 })).violations).toEqual([])
    expect((await run({ finalized: 8, refused: 2 }, ["finalized"])).violations).toHaveLength(1)
    expect((await run({ finalized: 9 })).violations).toEqual(["ended: 10 were raised, 9 ended and 0 are open"])
  })

  test("is no success when a process ended that nobody had ended", async () => {
    const { rig } = paper(0)
    rig.note({ node: "g2", kind: "ended", text: "ended by itself with 1" })
    const verdict = await runCampaign(rig, { scenario, seed: 1, spanMs: 0, check: () => [] })
    expect(verdict).toMatchObject({ ok: false, checks: { ended: "violated" }, violations: ["ended: g2 ended by itself with 1"] })
  })

  test("is no success when a fault could not be undone, and says of a check that saw nothing that it saw nothing", async () => {
    const { rig } = paper(0, undefined, { stuck: "rpc" })
    const round: Scenario["round"] = [{ verb: "stale-rpc", on: "r1", atMs: 1_000, forMs: 1_000 }]
    const verdict = await runCampaign(rig, { scenario: { ...scenario, round }, seed: 1, spanMs: 0, check: () => [{ name: "C5", examined: 0, violations: [] }] })
    expect(verdict).toMatchObject({ ok: false, checks: { C5: "nothing to look at" } })
    expect(verdict.violations).toEqual([expect.stringMatching(/^stale-rpc r1 .* could not be undone: TypeError: the lever is stuck$/)])
  })

  test("is no success when a fault could not be injected: it has tested nothing", async () => {
    const verdict = await runCampaign(paper(0, "freeze").rig, { scenario, seed: 1, spanMs: 0, check: () => [] })
    expect(verdict).toMatchObject({ ok: false, injected: { kill: 1 } })
    expect(verdict.violations[0]).toBe("freeze n1 (for 2000 ms) was not injected: the lever broke")
  })
})
