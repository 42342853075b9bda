import { describe, expect, it } from "vitest"
import { recoveryOf, summarised, type Followed } from "../../bench/support/recovery-time.ts"

const KILLED_MS = 10_000

/** One request every 500 ms, each as long as `tookMs` says. */
const steady = (fromMs: number, toMs: number, tookMs: (raisedMs: number) => number): ReadonlyArray<Followed> =>
  Array.from({ length: Math.ceil((toMs - fromMs) / 500) }, (_, index) => {
    const raisedMs = fromMs + index * 500
    return { raisedMs, endedMs: raisedMs + tookMs(raisedMs) }
  })

describe("what a kill has cost", () => {
  it("is nothing when requests take as long as before", () => {
    expect(recoveryOf(steady(0, 20_000, () => 1_000), KILLED_MS)).toEqual({
      usualMs: 1_000,
      silenceMs: 500,
      recoveredMs: 0,
      delayed: 0,
      open: 0
    })
  })

  it("lasts until everything that had to wait has ended, however much of it ends at once", () => {
    // Whatever was under way at the kill, or raised in the eight seconds after it, ends at 18,000.
    const took = (raisedMs: number) => (raisedMs > KILLED_MS - 1_000 && raisedMs < 17_000 ? 18_000 - raisedMs : 1_000)
    const recovery = recoveryOf(steady(0, 30_000, took), KILLED_MS)
    expect(recovery).toMatchObject({ usualMs: 1_000, recoveredMs: 8_000, open: 0 })
    expect(recovery.silenceMs).toBe(8_000)
  })

  it("is seen although half of the requests go on: no silence, and the others are late", () => {
    const took = (raisedMs: number) => (raisedMs % 1_000 === 0 && raisedMs >= KILLED_MS && raisedMs < 15_000 ? 20_000 - raisedMs : 1_000)
    const recovery = recoveryOf(steady(0, 30_000, took), KILLED_MS)
    expect(recovery.silenceMs).toBeLessThanOrEqual(1_000)
    expect(recovery).toMatchObject({ recoveredMs: 10_000, delayed: 5 })
  })

  it("counts what is a little slower than usual as noise, and what is clearly slower as delayed", () => {
    const after = (tookMs: number) => steady(0, 20_000, (raisedMs) => (raisedMs === 12_000 ? tookMs : 1_000))
    expect(recoveryOf(after(1_499), KILLED_MS)).toMatchObject({ recoveredMs: 0, delayed: 0 })
    expect(recoveryOf(after(1_501), KILLED_MS)).toMatchObject({ recoveredMs: 3_501, delayed: 1 })
  })

  it("measures the silence from the last end before the kill, not from the kill", () => {
    const followed = [
      { raisedMs: 8_000, endedMs: 9_000 },
      { raisedMs: 11_000, endedMs: 12_000 }
    ]
    expect(recoveryOf(followed, KILLED_MS).silenceMs).toBe(3_000)
  })

  it("says how many never ended", () => {
    const lost = { raisedMs: 10_500, endedMs: undefined }
    expect(recoveryOf([...steady(0, 20_000, () => 1_000), lost], KILLED_MS).open).toBe(1)
  })

  it("cannot be told when nothing had ended before the kill", () => {
    expect(() => recoveryOf([{ raisedMs: 9_900, endedMs: 10_900 }], KILLED_MS)).toThrow("not known how long they usually take")
  })

  it("is summed up over repetitions, with the slowest as p99 of few", () => {
    const all = [3_000, 1_000, 2_000].map((recoveredMs) => ({ usualMs: 1, silenceMs: 2, recoveredMs, delayed: 2, open: 1 }))
    expect(summarised(all)).toMatchObject({ repetitions: 3, recoveredMs: { p50: 2_000, p99: 3_000 }, delayed: 6, open: 3 })
  })
})
