import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { backoffBoundMs, backoffMs } from "../../src/resilience/backoff.ts"
import { noLatencies, observe, quantile } from "../../src/resilience/latency-quantile.ts"
import { BUDGET, earn, fullBudget, left, spend } from "../../src/resilience/retry-budget.ts"

describe("a retry budget", () => {
  test("never pays for more than a tenth of the successes and its stock, in whatever order they come", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("success", "repeat"), { maxLength: 500 }), (events) => {
        let budget = fullBudget()
        let [successes, repeats] = [0, 0]
        for (const event of events) {
          if (event === "success") {
            successes += 1
            budget = earn(BUDGET, budget)
          } else {
            const rest = spend(budget)
            if (rest !== undefined) repeats += 1
            budget = rest ?? budget
          }
          expect(repeats).toBeLessThanOrEqual(0.1 * successes + BUDGET.floor)
        }
      })
    )
  })
  test("saves no more than its most, however long it was quiet", () => {
    expect(left(earn(BUDGET, fullBudget(), 1_000_000))).toBe(BUDGET.most)
  })
  test("is exactly one repetition after ten successes", () => {
    let budget = fullBudget({ ...BUDGET, floor: 0 })
    for (let count = 0; count < 9; count++) budget = earn(BUDGET, budget)
    expect(spend(budget)).toBeUndefined()
    expect(spend(earn(BUDGET, budget))).toEqual({ thousandths: 0 })
  })
})

describe("a back-off", () => {
  const policy = { firstMs: 100, longestMs: 3_000 }
  test("doubles its bound with every try and stops at the longest", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 1_000].map((tries) => backoffBoundMs(policy, tries))).toEqual([
      100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000
    ])
  })
  test("takes any time up to the bound, and never comes sooner than it was asked to", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: 5_000 }),
        (tries, chance, askedForMs) => {
          const ms = backoffMs(policy, tries, chance, askedForMs)
          expect(ms).toBeGreaterThanOrEqual(askedForMs)
          expect(ms).toBeLessThanOrEqual(Math.max(askedForMs, backoffBoundMs(policy, tries)))
        }
      )
    )
  })
})

describe("a quantile of latencies", () => {
  const exact = (sample: ReadonlyArray<number>, q: number) => sample.toSorted((a, b) => a - b)[Math.ceil(q * sample.length) - 1] ?? 0
  test("is at most a tenth above the exact one, and never below it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 127 }),
        fc.constantFrom(0.5, 0.9, 0.95, 0.99),
        (sample, q) => {
          const found = quantile(sample.reduce(observe, noLatencies), q) ?? 0
          expect(found).toBeGreaterThan(exact(sample, q) * 0.999)
          expect(found).toBeLessThan(exact(sample, q) * 1.101)
        }
      )
    )
  })
  test("says nothing before enough was measured", () => {
    expect(quantile(noLatencies, 0.95)).toBeUndefined()
    expect(quantile(observe(noLatencies, 5), 0.95, 2)).toBeUndefined()
  })
  test("forgets what was true once", () => {
    const slow = Array.from({ length: 300 }, () => 5_000).reduce(observe, noLatencies)
    const fast = Array.from({ length: 256 }, () => 10).reduce(observe, slow)
    expect(quantile(fast, 0.99)).toBeLessThan(12)
  })
  test("takes nonsense for the least or the most there is", () => {
    const odd = [-5, 0, 1e12].reduce(observe, noLatencies)
    expect(quantile(odd, 0.1)).toBe(1)
    expect(quantile(odd, 1)).toBeLessThan(700_000)
  })
})
