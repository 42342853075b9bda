import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { admit, type Breaker, type BreakerPolicy, closedBreaker, report, tally, type Ticket, type Verdict } from "../../src/resilience/breaker.ts"

const POLICY: BreakerPolicy = {
  windowMs: 10_000,
  volumeMin: 4,
  failureRatioMax: 0.5,
  slowMs: 1_000,
  slowRatioMax: 0.9,
  restMs: 1_000,
  restMsMax: 8_000,
  probes: 4,
  probesGoodMin: 3,
  probeMsMax: 5_000
}

const ticketAt = (breaker: Breaker, nowMs: number, isVital = false) => {
  const admission = admit(POLICY, breaker, nowMs, 0.5, isVital)
  if (admission.ticket === undefined) throw new TypeError("refused")
  return { breaker: admission.breaker, ticket: admission.ticket }
}
const after = (breaker: Breaker, verdicts: ReadonlyArray<Verdict>, nowMs: number): Breaker =>
  verdicts.reduce((known, verdict) => {
    const { breaker: sent, ticket } = ticketAt(known, nowMs)
    return report(POLICY, sent, ticket, verdict, nowMs, 0.5)
  }, breaker)
const times = (count: number, verdict: Verdict): ReadonlyArray<Verdict> => Array.from({ length: count }, () => verdict)
const opened = after(closedBreaker(0), times(4, "bad"), 0)
const retryMs = (breaker: Breaker, nowMs: number) => {
  const admission = admit(POLICY, breaker, nowMs, 0.5)
  return admission.ticket === undefined ? admission.retryAfterMs : undefined
}

describe("a closed breaker", () => {
  test("does not open on a few failures, however bad their ratio is", () => {
    expect(after(closedBreaker(0), times(3, "bad"), 0).state).toBe("closed")
  })
  test("opens when half of enough attempts failed", () => {
    expect(after(closedBreaker(0), [...times(3, "good"), ...times(2, "bad")], 0).state).toBe("closed")
    expect(after(closedBreaker(0), [...times(2, "good"), ...times(2, "bad")], 0).state).toBe("open")
  })
  test("opens when nearly all answers are slow, though none failed", () => {
    expect(after(closedBreaker(0), times(4, "slow"), 0).state).toBe("open")
  })
  test("forgets what is older than its window", () => {
    const old = after(closedBreaker(0), times(3, "bad"), 0)
    expect(after(old, times(1, "bad"), POLICY.windowMs + 1_000).state).toBe("closed")
  })
  test("does not hold an abandoned attempt against anybody", () => {
    expect(tally(POLICY, after(closedBreaker(0), times(9, "abandoned"), 0), 0)).toEqual({ volume: 0, bad: 0, slow: 0 })
  })
})

describe("an open breaker", () => {
  test("refuses until it has rested, and says for how long", () => {
    expect(retryMs(opened, 0)).toBe(750)
    expect(retryMs(opened, 749)).toBe(1)
    expect(retryMs(opened, 750)).toBeUndefined()
  })
  test("rests twice as long each time its probes fail, up to a bound", () => {
    let breaker = opened
    const rests: Array<number> = []
    for (let trip = 0, nowMs = 0; trip < 6; trip++) {
      const restMs = retryMs(breaker, nowMs) ?? 0
      rests.push(restMs)
      nowMs += restMs
      breaker = after(breaker, times(2, "bad"), nowMs)
    }
    expect(rests).toEqual([750, 1_500, 3_000, 6_000, 6_000, 6_000])
  })
  test("is not closed by a late answer to what was sent before it opened", () => {
    const { breaker, ticket } = ticketAt(closedBreaker(0), 0)
    const open = after(breaker, times(4, "bad"), 0)
    expect(report(POLICY, open, ticket, "good", 10, 0.5)).toEqual(open)
  })
  test("lets a vital call pass, and begins to probe at once when that is answered", () => {
    const { breaker, ticket } = ticketAt(opened, 10, true)
    expect(breaker.state).toBe("open")
    expect(report(POLICY, breaker, ticket, "bad", 20, 0.5).state).toBe("open")
    expect(report(POLICY, breaker, ticket, "good", 20, 0.5)).toMatchObject({ state: "half-open", good: 1 })
  })
})

describe("a half-open breaker", () => {
  test("closes only when enough probes were good", () => {
    expect(after(opened, times(2, "good"), 800).state).toBe("half-open")
    expect(after(opened, times(3, "good"), 800).state).toBe("closed")
  })
  test("bears one bad probe, and opens again at the second", () => {
    expect(after(opened, ["bad", ...times(3, "good")], 800).state).toBe("closed")
    expect(after(opened, ["bad", "good", "bad"], 800).state).toBe("open")
  })
  test("is not stuck when its probes tell nothing: they are lost after a while and count as bad", () => {
    let breaker = opened
    for (let probe = 0; probe < POLICY.probes; probe++) breaker = ticketAt(breaker, 800).breaker
    expect(retryMs(breaker, 900)).toBe(100)
    expect(admit(POLICY, breaker, 800 + POLICY.probeMsMax, 0.5).breaker.state).toBe("open")
  })
  test("gives the place of an abandoned probe to another", () => {
    expect(after(opened, [...times(50, "abandoned"), ...times(3, "good")], 800).state).toBe("closed")
  })
})

test("never has more than its probes under way while it is not closed, whatever is sent, answered, lost or late", () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 3_000 }),
    verdict: fc.constantFrom<Verdict | "silence">("good", "slow", "bad", "bad", "bad", "abandoned", "silence"),
    lateBy: fc.integer({ min: 0, max: 6 })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let [breaker, nowMs] = [closedBreaker(0), 0]
      const late: Array<{ readonly ticket: Ticket; readonly verdict: Verdict; readonly at: number }> = []
      let probes = new Map<number, number>()
      for (const [at, { waitMs, verdict, lateBy }] of steps.entries()) {
        nowMs += waitMs
        const admission = admit(POLICY, breaker, nowMs, 0.5)
        breaker = admission.breaker
        if (admission.ticket !== undefined) {
          if (breaker.state !== "closed") {
            probes.set(breaker.round, (probes.get(breaker.round) ?? 0) + 1)
            expect(probes.get(breaker.round)).toBeLessThanOrEqual(POLICY.probes)
          }
          if (verdict !== "silence") late.push({ ticket: admission.ticket, verdict, at: at + lateBy })
        }
        for (const { ticket, verdict: told } of late.filter((one) => one.at === at)) {
          const { round, state } = breaker
          if (state === "half-open" && told === "abandoned" && ticket.round === round) probes.set(round, (probes.get(round) ?? 0) - 1)
          breaker = report(POLICY, breaker, ticket, told, nowMs, 0.5)
        }
      }
    })
  )
})

test("lets something pass again within its longest rest, whatever happened before", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom<Verdict>("good", "slow", "bad", "abandoned"), { maxLength: 100 }), (verdicts) => {
      let [breaker, nowMs] = [closedBreaker(0), 0]
      for (const verdict of verdicts) {
        const admission = admit(POLICY, breaker, nowMs, 0.99)
        breaker = admission.breaker
        if (admission.ticket === undefined) nowMs += admission.retryAfterMs
        else breaker = report(POLICY, breaker, admission.ticket, verdict, nowMs, 0.99)
      }
      const laterMs = nowMs + Math.max(POLICY.restMsMax, POLICY.probeMsMax)
      const first = admit(POLICY, breaker, laterMs, 0.99)
      const second = first.ticket === undefined ? admit(POLICY, first.breaker, laterMs + POLICY.restMsMax, 0.99) : first
      expect(second.ticket).toBeDefined()
    })
  )
})
