/** The advice to an autoscaler, followed by a simulated one: workers that need half a minute to start, some faster than others, and work that comes and
 * goes. */
import { describe, expect, test } from "vitest"
import { firstScale, nextScale, SCALE_BOUNDS, type ScaleReading } from "../../src/domain/autoscale.ts"
import { type Progress, settledPerSecond } from "../../src/domain/work-rate.ts"

const READ_SECONDS = 5
const START_SECONDS = 30

interface World {
  readonly loadAt: (second: number) => number
  /** What the worker that is started as the nth does in a second. */
  readonly speedOf?: (nth: number) => number
  /** All of them together never do more. */
  readonly most?: number
  readonly isMeasured?: boolean
  readonly isPausedAt?: (second: number) => boolean
}

interface Worker {
  readonly name: string
  readonly speed: number
  readonly readyAt: number
  done: number
}

/** Lets load pass by, with the newest worker stopped first; answers what was wanted at each reading. */
const follow = ({ loadAt, speedOf = () => 10, most = Number.POSITIVE_INFINITY, isMeasured = true, isPausedAt = () => false }: World, seconds: number) => {
  let nth = 0
  const start = (readyAt: number): Worker => ({ name: `worker-${nth}`, speed: speedOf(nth++), readyAt, done: 0 })
  const workers = [start(0)]
  const waiting: Array<{ readonly since: number; count: number }> = []
  let before: ReadonlyArray<Progress> = []
  let scale: ReturnType<typeof firstScale> | undefined
  const seen: Array<{ readonly now: number; readonly desired: number; readonly backlogSeconds: number }> = []
  for (let now = 0; now < seconds; now++) {
    waiting.push({ since: now, count: loadAt(now) })
    const alive = workers.filter(({ readyAt }) => readyAt <= now)
    const all = alive.reduce((sum, { speed }) => sum + speed, 0)
    const slowed = isPausedAt(now) ? 0 : Math.min(1, most / all)
    for (const worker of alive) {
      for (let left = worker.speed * slowed; left > 0 && waiting.length > 0; ) {
        const taken = Math.min(left, waiting[0]!.count)
        waiting[0]!.count -= taken
        worker.done += taken
        left -= taken
        if (waiting[0]!.count === 0) waiting.shift()
      }
    }
    if (now % READ_SECONDS !== 0) continue
    const progress = alive.map(({ name, done }) => ({ worker: name, heardAtMs: now * 1_000, done: { "acl-checked": done } }))
    const backlogSeconds = waiting.length === 0 ? 0 : now - waiting[0]!.since
    const reading: ScaleReading = {
      now,
      workers: alive.length,
      backlogSeconds,
      owed: waiting.reduce((sum, { count }) => sum + count, 0),
      settledPerSecond: isMeasured ? settledPerSecond(before, progress, "acl-checked") : undefined,
      isPaused: isPausedAt(now)
    }
    before = progress
    scale = scale === undefined ? firstScale(reading) : nextScale(scale, reading)
    while (workers.length < scale.desired) workers.push(start(now + START_SECONDS))
    workers.splice(scale.desired)
    seen.push({ now, desired: scale.desired, backlogSeconds })
  }
  const between = (from: number, to: number) => seen.filter((one) => one.now >= from && one.now < to)
  return { between, desiredAt: (second: number) => between(second, second + READ_SECONDS)[0]!.desired }
}

const changes = (seen: ReadonlyArray<{ readonly desired: number }>): number =>
  seen.filter(({ desired }, index) => index > 0 && desired !== seen[index - 1]!.desired).length

const waits = (seen: ReadonlyArray<{ readonly backlogSeconds: number }>): number => Math.max(...seen.map(({ backlogSeconds }) => backlogSeconds))

/** The fast, the slow and the ordinary, in turn: 10 on average. */
const MIXED = [10, 4, 20, 6]
const mixed = (nth: number): number => MIXED[nth % MIXED.length]!

describe.each([
  ["equal workers", (): number => 10],
  ["fast and slow workers", mixed],
  ["first a fast one, then slow ones", (nth: number): number => (nth === 0 ? 24 : 8)],
  ["first slow ones, then fast ones", (nth: number): number => (nth < 4 ? 5 : 15)]
])("the advice to an autoscaler about %s", (_, speedOf) => {
  test("follows load up until nothing waits, and settles at what it needs", () => {
    const { between, desiredAt } = follow({ loadAt: () => 75, speedOf }, 3_600)
    // They are busy, not more: 75 are at least half of what they can do.
    const settled = between(1_800, 3_600)
    expect(changes(settled)).toBe(0)
    expect(waits(settled)).toBeLessThan(SCALE_BOUNDS.targetSeconds)
    const can = Array.from({ length: desiredAt(3_595) }, (_, nth) => speedOf(nth)).reduce((sum, speed) => sum + speed)
    expect(can).toBeGreaterThanOrEqual(75)
    expect(can).toBeLessThan(150)
  })

  test("follows load down to the least within minutes, and up again as quickly as the first time", () => {
    const loadAt = (second: number): number => (second < 1_800 || second >= 3_600 ? 75 : 3)
    const { between, desiredAt } = follow({ loadAt, speedOf }, 5_400)
    expect(desiredAt(1_800 + 2 * SCALE_BOUNDS.downAfterSeconds + 60)).toBe(SCALE_BOUNDS.leastWorkers)
    expect(changes(between(3_000, 3_600))).toBe(0)
    const again = between(3_600, 5_400)
    expect(waits(again)).toBeLessThan(120)
    expect(waits(again.filter(({ now }) => now > 4_000))).toBeLessThan(SCALE_BOUNDS.targetSeconds)
  })

  test("does not follow load that comes and goes faster than it may", () => {
    const loadAt = (second: number): number => (second % 200 < 100 ? 75 : 5)
    const { between } = follow({ loadAt, speedOf }, 7_200)
    expect(changes(between(3_600, 7_200))).toBe(0)
  })
})

describe("the advice to an autoscaler", () => {
  test("does not ask for more of what does not help, because all of them wait for something else", () => {
    const { between } = follow({ loadAt: () => 75, most: 20 }, 3_600)
    expect(Math.max(...between(0, 3_600).map(({ desired }) => desired))).toBeLessThanOrEqual(16)
    // Two would do. It tries one more every ten minutes.
    expect(between(300, 3_600).every(({ desired }) => desired <= 5)).toBe(true)
    expect(changes(between(300, 3_600))).toBeLessThanOrEqual(12)
  })

  test("stands still while the step is paused, and for as long as a worker needs to start", () => {
    const { between } = follow({ loadAt: () => 8, isPausedAt: (second) => second >= 600 && second < 1_800 }, 1_825)
    expect(changes(between(600, 1_825))).toBe(0)
  })

  test("settles where nothing can be measured too, by what was too few", () => {
    const { between, desiredAt } = follow({ loadAt: (second) => (second < 3_600 ? 75 : 5), isMeasured: false }, 16_000)
    const settled = between(2_000, 3_600)
    expect(changes(settled)).toBe(0)
    expect(settled[0]!.desired).toBeGreaterThanOrEqual(8)
    expect(settled[0]!.desired).toBeLessThanOrEqual(10)
    expect(waits(settled)).toBeLessThan(SCALE_BOUNDS.targetSeconds)
    expect(desiredAt(15_990)).toBe(SCALE_BOUNDS.leastWorkers)
  })

  const CALM: ScaleReading = { now: 1_000, workers: 4, backlogSeconds: 0, owed: 0, settledPerSecond: undefined, isPaused: false }

  test("does not move for work that waits a moment, nor ask for more before those have come that were asked for", () => {
    const scale = firstScale(CALM)
    expect(nextScale(scale, { ...CALM, backlogSeconds: SCALE_BOUNDS.targetSeconds }).desired).toBe(4)
    const more = nextScale(scale, { ...CALM, backlogSeconds: 60 })
    expect(more.desired).toBe(8)
    expect(nextScale(more, { ...CALM, now: 1_600, backlogSeconds: 600 }).desired).toBe(8)
    expect(nextScale(more, { ...CALM, now: 1_600, workers: 8, backlogSeconds: 600 }).desired).toBe(16)
  })

  test("asks for nobody while nothing at all is answered", () => {
    const stuck = { ...CALM, now: 1_100, backlogSeconds: 60, owed: 1_000, settledPerSecond: 0 }
    expect(nextScale(firstScale(CALM), stuck).desired).toBe(4)
  })

  test("stays within its bounds", () => {
    const crowd = { ...CALM, workers: 1_000, backlogSeconds: 9_999 }
    expect(nextScale(firstScale(crowd), { ...crowd, now: 1_060 }).desired).toBe(SCALE_BOUNDS.mostWorkers)
    expect(firstScale({ ...CALM, workers: 0 }).desired).toBe(SCALE_BOUNDS.leastWorkers)
  })
})

describe("how fast workers work", () => {
  const at = (worker: string, second: number, done: number): Progress => ({ worker, heardAtMs: second * 1_000, done: { finalized: done } })

  test("is what those have done who were heard twice, and those who are new do as much", () => {
    expect(settledPerSecond([at("a", 0, 100), at("b", 1, 0)], [at("a", 5, 150), at("b", 6, 10)], "finalized")).toBe(12)
    expect(settledPerSecond([at("a", 0, 100)], [at("a", 5, 150), at("b", 6, 10)], "finalized")).toBe(20)
  })

  test("is unknown of a step and of workers that nobody has heard of twice", () => {
    expect(settledPerSecond([], [at("a", 5, 150)], "finalized")).toBeUndefined()
    expect(settledPerSecond([at("a", 5, 100)], [at("a", 5, 100)], "finalized")).toBeUndefined()
    expect(settledPerSecond([at("a", 0, 100)], [at("a", 5, 150)], "acl-checked")).toBe(0)
  })
})
