/** What is believed of a node, and what follows from it: who is asked, in which order, and when a node that failed gets another
 * chance. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  firstBelief,
  kmsNodeMachine,
  mayAsk,
  nextBelief,
  NODE_PATIENCE,
  rankNodes,
  type KmsNodeBelief,
  type NodeEvent
} from "../../machines/kms-node.machine.ts"

const after = (belief: KmsNodeBelief, ...events: ReadonlyArray<NodeEvent>): KmsNodeBelief =>
  events.reduce((now, event) => nextBelief(JSON.parse(JSON.stringify(now)), event), belief)

const asked = (now = 0): NodeEvent => ({ type: "asked", now })
const answered = (latencyMs = 50, now = 0): NodeEvent => ({ type: "answered", latencyMs, now })
const silent = (now = 0): NodeEvent => ({ type: "failed", kind: "unavailable", now })
const times = (count: number, event: NodeEvent): ReadonlyArray<NodeEvent> => Array.from({ length: count }, () => event)

const tripped = (now = 0): KmsNodeBelief => after(firstBelief(), ...times(NODE_PATIENCE.tripAfter.unavailable, silent(now)))

describe("failures", () => {
  test("one silence is forgiven, several in a row make a suspect, more trip it", () => {
    expect(after(firstBelief(), silent()).value).toBe("well")
    expect(after(firstBelief(), ...times(2, silent())).value).toBe("suspect")
    expect(tripped().value).toBe("tripped")
  })

  test("only failures in a row count", () => {
    const mixed = Array.from({ length: 20 }, () => [silent(), answered()]).flat()
    expect(after(firstBelief(), ...mixed).value).toBe("well")
  })

  test("kinds are counted apart: an answer no correct node gives weighs more than silence, a refusal never trips", () => {
    const invalid: NodeEvent = { type: "failed", kind: "invalid", now: 0 }
    const refused: NodeEvent = { type: "failed", kind: "refused", now: 0 }
    expect(after(firstBelief(), invalid).value).toBe("suspect")
    expect(after(firstBelief(), invalid, invalid).value).toBe("tripped")
    expect(after(firstBelief(), ...times(200, refused)).value).toBe("suspect")
    expect(after(firstBelief(), silent(), refused, refused).value).toBe("well")
  })
})

describe("another chance", () => {
  test("a tripped node rests, then a few requests try it, and most of them must succeed", () => {
    const resting = tripped(1_000)
    const rested = 1_000 + NODE_PATIENCE.restMs
    expect(mayAsk(resting, rested - 1)).toBe(false)
    expect(mayAsk(resting, rested)).toBe(true)
    const probing = after(resting, ...times(NODE_PATIENCE.probes, asked(rested)))
    expect(probing.value).toBe("probing")
    expect(mayAsk(probing, rested), "no more than the probes").toBe(false)
    expect(after(probing, answered(), answered()).value).toBe("probing")
    expect(after(probing, answered(), silent(rested), answered(), answered()).value).toBe("well")
    expect(after(probing, answered(), silent(rested), silent(rested)).value).toBe("tripped")
  })

  test("what earlier probes showed does not count for later ones", () => {
    const first = after(tripped(0), ...times(4, asked(2_000)), answered(), answered(), silent(2_000), silent(2_000))
    expect(first.value).toBe("tripped")
    const second = after(first, ...times(4, asked(first.context.restsUntilMs)))
    expect(after(second, answered(), answered()).value).toBe("probing")
    expect(after(second, silent(9_000)).value).toBe("probing")
  })

  test("probes that nobody waited for do not keep a node out for ever", () => {
    const rested = 1_000 + NODE_PATIENCE.restMs
    const unanswered = after(tripped(1_000), ...times(NODE_PATIENCE.probes, asked(rested)))
    expect(mayAsk(unanswered, rested + NODE_PATIENCE.restMs - 1)).toBe(false)
    expect(mayAsk(unanswered, rested + NODE_PATIENCE.restMs)).toBe(true)
    const again = after(unanswered, asked(rested + NODE_PATIENCE.restMs))
    expect(again).toMatchObject({ value: "probing", context: { probesSent: 1, probesGood: 0, probesBad: 0 } })
  })

  test("each further trip doubles the rest up to a bound; being well forgets them", () => {
    let belief = tripped(0)
    let now = 0
    const rests: Array<number> = []
    for (let trip = 0; trip < 8; trip++) {
      rests.push(belief.context.restsUntilMs - now)
      now = belief.context.restsUntilMs
      belief = after(belief, asked(now), asked(now), silent(now), silent(now))
    }
    expect(rests).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
    const well = after(belief, ...times(4, asked(belief.context.restsUntilMs)), answered(), answered(), answered())
    expect(well).toMatchObject({ value: "well", context: { trips: 0 } })
  })

  test("a node that is tripped and still resting is not probed", () => {
    expect(after(tripped(1_000), asked(1_001)).value).toBe("tripped")
  })
})

describe("liars", () => {
  test("whoever is caught is suspended until an operator pardons it, whatever else happens", () => {
    const anything = fc.oneof(
      fc.constant(asked(1e9)),
      fc.nat(500).map((latency) => answered(latency, 1e9)),
      fc.constant(silent(1e9)),
      fc.constant<NodeEvent>({ type: "lied", now: 1e9 })
    )
    fc.assert(
      fc.property(fc.array(anything), fc.array(anything), (before, later) => {
        const caught = after(firstBelief(), ...before, { type: "lied", now: 0 })
        const much = after(caught, ...later)
        expect(much.value).toBe("suspended")
        expect(mayAsk(much, Number.MAX_SAFE_INTEGER)).toBe(false)
        expect(after(much, { type: "pardoned", by: "operator", now: 0 }).value).toBe("well")
      }),
      { numRuns: 100 }
    )
  })
})

describe("latency", () => {
  test("the mean follows a change within some ten answers", () => {
    const slow = after(firstBelief(), ...times(20, answered(100)), ...times(12, answered(400)))
    expect(slow.context.latency?.meanMs).toBeGreaterThan(370)
  })

  test("about one answer in twenty is slower than the estimate of the 95th percentile", () => {
    // A fixed long-tailed sequence: 40 ms and more, with a tail to some 200 ms.
    let seed = 42
    const sample = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return 40 - 40 * Math.log(1 - seed / 2 ** 31)
    }
    let belief = firstBelief()
    let slower = 0
    for (let answer = 0; answer < 4_000; answer++) {
      const latencyMs = sample()
      if (answer >= 200 && latencyMs > (belief.context.latency?.p95Ms ?? 0)) slower += 1
      belief = nextBelief(belief, answered(latencyMs))
    }
    expect(slower / 3_800).toBeGreaterThan(0.03)
    expect(slower / 3_800).toBeLessThan(0.07)
  })
})

describe("ranking", () => {
  test("the trusted before the doubtful, the fast before the slow, the resting and the suspended not at all", () => {
    const beliefs = new Map([
      [1, after(firstBelief(), answered(90))],
      [2, after(firstBelief(), answered(30))],
      [3, after(firstBelief(), answered(5), silent(), silent())],
      [4, tripped(1_000)],
      [5, after(firstBelief(), answered(1), { type: "lied", now: 0 })],
      [6, firstBelief()]
    ])
    expect(rankNodes(beliefs, 1_001)).toEqual([6, 2, 1, 3])
    expect(rankNodes(beliefs, 1_000 + NODE_PATIENCE.restMs)).toEqual([6, 2, 1, 3, 4])
  })
})

test("every state is explained to operators", () => {
  for (const state of Object.values(kmsNodeMachine.states)) expect(state.description?.length).toBeGreaterThan(20)
})
