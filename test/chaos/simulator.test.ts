import { describe, expect, test } from "vitest"
import { runSeed } from "../../chaos/simulator/run-seed.ts"

describe("a seed", () => {
  test.each([3, 20])("%i gives the same history twice, to the byte", async (seed) => {
    const [first, second] = [await runSeed({ seed }), await runSeed({ seed })]
    expect(second.digest).toBe(first.digest)
    expect(second.history.lines).toEqual(first.history.lines)
  })

  test("that is another gives another history", async () => {
    expect((await runSeed({ seed: 1 })).digest).not.toBe((await runSeed({ seed: 2 })).digest)
  })
})

/** Few, because they run in every build; many more are run by hand (docs/testing.md). */
const SEEDS = [
  ...Array.from({ length: 16 }, (_, index) => index + 1),
  // An endpoint that stays on a branch which the chain left, beside one that says what is final (chaos/SEEDS.md).
  ...[107, 603]
]

test("whatever a seed injects, every request ends once, and rightly, when it is over", async () => {
  for (const seed of SEEDS) {
    const { violations } = await runSeed({ seed })
    expect(violations, `seed ${seed}`).toEqual([])
  }
})

test("a listener leads for as long as it renews its lease, as a real one does", async () => {
  const { history } = await runSeed({ seed: 2 })
  expect(history.seen.get("leader for longer than a lease")).toBeGreaterThan(0)
})
