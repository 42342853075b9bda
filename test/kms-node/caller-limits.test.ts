/** One caller cannot take the node from the others, and nobody is refused for ever. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { callerLimits } from "../../src/kms-node/caller-limits.ts"

const admitted = (admission: ReturnType<ReturnType<typeof callerLimits>>) => "release" in admission

describe("a caller", () => {
  test("may spend its burst at once, and then its rate", () => {
    const admit = callerLimits({ handlesPerSecond: 10, handlesBurst: 20, concurrentCalls: 1_000 })
    for (let call = 0; call < 20; call++) expect(admitted(admit("a", 1, 0))).toBe(true)
    expect(admit("a", 1, 0)).toEqual({ retryAfterMs: 100 })
    expect(admitted(admit("a", 1, 99))).toBe(false)
    expect(admitted(admit("a", 1, 200))).toBe(true)
  })

  test("is told a time after which it is let in", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 64 }), { maxLength: 60 }),
        (rate, burst, costs) => {
          const admit = callerLimits({ handlesPerSecond: rate, handlesBurst: burst, concurrentCalls: 1_000 })
          let now = 0
          for (const cost of costs) {
            const first = admit("a", cost, now)
            if ("release" in first) continue
            now += first.retryAfterMs
            expect(admitted(admit("a", cost, now))).toBe(true)
          }
        }
      )
    ))

  test("never gets more in a window than its burst and what refills meanwhile", () =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ cost: fc.integer({ min: 1, max: 8 }), wait: fc.nat(200) }), { maxLength: 100 }),
        (calls) => {
          const admit = callerLimits({ handlesPerSecond: 10, handlesBurst: 16, concurrentCalls: 1_000 })
          let [now, spent] = [0, 0]
          for (const { cost, wait } of calls) {
            now += wait
            if (admitted(admit("a", cost, now))) spent += cost
          }
          expect(spent).toBeLessThanOrEqual(16 + (now * 10) / 1_000)
        }
      )
    ))

  test("has so many calls open and no more; each one released makes room for one, once", () => {
    const admit = callerLimits({ handlesPerSecond: 1_000, handlesBurst: 1_000, concurrentCalls: 2 })
    const [first, second] = [admit("a", 1, 0), admit("a", 1, 0)]
    expect([admitted(first), admitted(second), admitted(admit("a", 1, 0))]).toEqual([true, true, false])
    if ("release" in first) {
      first.release()
      first.release()
    }
    expect([admitted(admit("a", 1, 0)), admitted(admit("a", 1, 0))]).toEqual([true, false])
  })

  test("does not feel another's hunger", () => {
    const admit = callerLimits({ handlesPerSecond: 1, handlesBurst: 5, concurrentCalls: 5 })
    for (let call = 0; call < 100; call++) admit("greedy", 5, 0)
    expect(admitted(admit("modest", 5, 0))).toBe(true)
  })

  test("gains nothing when the clock steps back", () => {
    const admit = callerLimits({ handlesPerSecond: 10, handlesBurst: 1, concurrentCalls: 10 })
    expect(admitted(admit("a", 1, 10_000))).toBe(true)
    expect(admitted(admit("a", 1, 0))).toBe(false)
    expect(admitted(admit("a", 1, 50))).toBe(false)
  })

  test("is forgotten when thousands of others come, unless it has calls open", () => {
    const admit = callerLimits({ handlesPerSecond: 1, handlesBurst: 1, concurrentCalls: 10 })
    const open = admit("patient", 1, 0)
    for (let other = 0; other < 5_000; other++) {
      const admission = admit(`peer-${other}`, 1, 0)
      if ("release" in admission) admission.release()
    }
    expect(admitted(open)).toBe(true)
    expect(admitted(admit("patient", 1, 0))).toBe(false)
    expect(admitted(admit("peer-1", 1, 0))).toBe(true)
  })
})
