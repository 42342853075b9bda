/** The advice to an autoscaler, followed by a simulated one: workers that need half a minute to start, and work that comes and goes. */
import { describe, expect, test } from "vitest"
import { firstScale, nextScale, SCALE_BOUNDS } from "../../src/domain/autoscale.ts"

const READ_SECONDS = 5
const START_SECONDS = 30
const PER_WORKER = 10

/** Lets load pass by; answers how many workers there were at each reading. */
const follow = (loadAt: (second: number) => number, seconds: number) => {
  let now = 0
  let owed = 0
  let workers = 1
  const starting: Array<number> = []
  let scale = firstScale({ now, workers, backlogSeconds: 0 })
  const seen: Array<{ readonly now: number; readonly desired: number; readonly backlogSeconds: number }> = []
  for (; now < seconds; now++) {
    while (starting[0] !== undefined && starting[0] <= now) {
      starting.shift()
      workers++
    }
    owed = Math.max(0, owed + loadAt(now) - workers * PER_WORKER)
    if (now % READ_SECONDS !== 0) continue
    const backlogSeconds = owed / (workers * PER_WORKER)
    scale = nextScale(scale, { now, workers, backlogSeconds })
    while (workers + starting.length < scale.desired) starting.push(now + START_SECONDS)
    while (workers > scale.desired) workers--
    seen.push({ now, desired: scale.desired, backlogSeconds })
  }
  const between = (from: number, to: number) => seen.filter((one) => one.now >= from && one.now < to)
  return { between, desiredAt: (second: number) => between(second, second + READ_SECONDS)[0]!.desired }
}

const changes = (seen: ReadonlyArray<{ readonly desired: number }>): number =>
  seen.filter(({ desired }, index) => index > 0 && desired !== seen[index - 1]!.desired).length

describe("the advice to an autoscaler", () => {
  test("follows load up until nothing waits, and settles there", () => {
    const { between } = follow(() => 75, 3_600)
    expect(between(600, 605)[0]!.desired).toBeGreaterThanOrEqual(8)
    // It has tried six and seven by then, which were too few, and tries neither again for an hour.
    const settled = between(2_000, 3_600)
    expect(changes(settled)).toBe(0)
    expect(settled[0]!.desired).toBe(8)
    expect(Math.max(...settled.map(({ backlogSeconds }) => backlogSeconds))).toBeLessThan(SCALE_BOUNDS.targetSeconds)
  })

  test("follows load down, slowly, to the least", () => {
    const { desiredAt } = follow((second) => (second < 600 ? 75 : 5), 12_000)
    expect(desiredAt(600)).toBeGreaterThanOrEqual(8)
    expect(desiredAt(800)).toBeGreaterThanOrEqual(8)
    expect(desiredAt(11_990)).toBe(SCALE_BOUNDS.leastWorkers)
  })

  test("does not move for work that waits a moment, nor ask for more before those have come that were asked for", () => {
    const calm = { now: 1_000, workers: 4, backlogSeconds: 0 }
    const scale = firstScale(calm)
    expect(nextScale(scale, { ...calm, backlogSeconds: SCALE_BOUNDS.targetSeconds }).desired).toBe(4)
    const more = nextScale(scale, { ...calm, backlogSeconds: 60 })
    expect(more.desired).toBe(8)
    expect(nextScale(more, { now: 1_600, workers: 4, backlogSeconds: 600 }).desired).toBe(8)
    expect(nextScale(more, { now: 1_600, workers: 8, backlogSeconds: 600 }).desired).toBe(16)
  })

  test("stays within its bounds", () => {
    const crowd = { now: 0, workers: 1_000, backlogSeconds: 9_999 }
    expect(nextScale(firstScale(crowd), { ...crowd, now: 60 }).desired).toBe(SCALE_BOUNDS.mostWorkers)
    expect(firstScale({ now: 0, workers: 0, backlogSeconds: 0 }).desired).toBe(SCALE_BOUNDS.leastWorkers)
  })
})
