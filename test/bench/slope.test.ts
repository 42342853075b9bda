import { describe, expect, it } from "vitest"
import { figuresOf, FLAT_MIB_PER_HOUR_MAX } from "../../bench/cluster/soak.ts"
import { byStretch, growthOf, lineThrough } from "../../bench/support/slope.ts"

const MS_PER_HOUR = 3_600_000
const lowest = (ys: ReadonlyArray<number>): number => Math.min(...ys)

describe("the line through measurements", () => {
  it("goes through points that lie on one, without an error", () => {
    const line = lineThrough([0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x })))
    expect(line.slope).toBeCloseTo(2)
    expect(line.slopeError).toBeCloseTo(0)
    expect([line.first, line.last]).toEqual([5, 11])
  })

  it("has the least squares and the standard error of a textbook", () => {
    // 1, 3, 2, 5 at 1, 2, 3, 4: slope 1.1, intercept 0; residuals -0.1, 0.8, -1.3, 0.6, so 2.7 / 2 / 5 under the root.
    const line = lineThrough([1, 3, 2, 5].map((y, index) => ({ x: index + 1, y })))
    expect(line.slope).toBeCloseTo(1.1)
    expect(line.slopeError).toBeCloseTo(Math.sqrt(2.7 / 2 / 5))
  })

  it("is refused where there are too few points, or all above each other", () => {
    expect(() => lineThrough([{ x: 0, y: 0 }, { x: 1, y: 1 }])).toThrow("needs 3 points")
    expect(() => lineThrough([1, 2, 3].map((y) => ({ x: 7, y })))).toThrow("no line")
  })

  it("takes one point for each stretch, so that a sawtooth shows its floor", () => {
    const sawtooth = Array.from({ length: 14 }, (_, x) => ({ x, y: 100 + (x % 4) * 10 }))
    // What is left over at the end would be a stretch without a floor.
    expect(byStretch(sawtooth, 3, lowest)).toEqual([{ x: 1.5, y: 100 }, { x: 5.5, y: 100 }, { x: 9.5, y: 100 }])
    expect(byStretch(sawtooth.slice(0, 2), 3, lowest)).toEqual(sawtooth.slice(0, 2))
  })
})

describe("growth", () => {
  it("is flat only when two standard errors more would still be", () => {
    expect(growthOf({ slope: 10, slopeError: 5 }, 20)).toBe("flat")
    expect(growthOf({ slope: 10, slopeError: 5.1 }, 20)).toBe("undecided")
    expect(growthOf({ slope: 30, slopeError: 5.1 }, 20)).toBe("undecided")
    expect(growthOf({ slope: 31, slopeError: 5 }, 20)).toBe("grows")
    expect(growthOf({ slope: -50, slopeError: 5 }, 20)).toBe("flat")
  })

  it("leaves out the warm-up, and is said for each hour", () => {
    // Half an hour, a sample every five seconds: 60 MiB are taken in the first ten minutes, and then `perHour`.
    const minutes = (perHour: number) =>
      Array.from({ length: 360 }, (_, index) => {
        const x = index * 5_000
        return { x, y: 100 + Math.min(60, x / 10_000) + (perHour * Math.max(0, x - 600_000)) / MS_PER_HOUR + (index % 3) }
      })
    const still = figuresOf(minutes(0), 600_000, lowest)
    expect(still).toMatchObject({ growth: "flat" })
    expect(still.mibPerHour).toBeCloseTo(0, 1)
    const leaking = figuresOf(minutes(2 * FLAT_MIB_PER_HOUR_MAX), 600_000, lowest)
    expect(leaking.growth).toBe("grows")
    expect(leaking.mibPerHour).toBeGreaterThan(1.9 * FLAT_MIB_PER_HOUR_MAX)
    expect(leaking.mibPerHour).toBeLessThan(2.1 * FLAT_MIB_PER_HOUR_MAX)
  })
})
