/** What fails again is tried again later and later, and at no predictable moment. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import { FailedTries, rememberTries } from "../../../actors/runtime/failed-tries.ts"
import { outcomeOfFailure } from "../../../actors/runtime/outcome-of-failure.ts"
import { RETRY_FIRST_MS, RETRY_LONGEST_MS } from "../../../src/domain/limits.ts"
import { ChainUnavailable } from "../../../src/journey/1-detected/request-log.port.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"

const failure = new ChainUnavailable({ doing: "eth_call", cause: "silence" })
const request = { id: `0x${"11".repeat(32)}`, version: 3 } as const

/** Pauses after that many failures, many times. */
const pausesAfter = (tries: number): ReadonlyArray<number> =>
  Effect.runSync(
    Effect.forEach(Array.from({ length: 200 }), () => outcomeOfFailure(failure, request as unknown as StoredRequest)).pipe(
      Effect.provideService(FailedTries, { failed: () => tries })
    )
  ).map((outcome) => (outcome.type === "postponed" ? outcome.retryAfterMs : Number.NaN))

test("counts the failures of one piece of work, and begins anew with the next", () => {
  const memory = rememberTries()
  expect([memory.failed(request), memory.failed(request), memory.failed({ ...request, version: 4 })]).toEqual([1, 2, 1])
  expect(memory.failed(request)).toBe(3)
})

test("remembers a bounded number of them, the last ones first", () => {
  const memory = rememberTries()
  memory.failed(request)
  for (let version = 10; version < 30_000; version++) memory.failed({ ...request, version })
  expect(memory.failed(request)).toBe(1)
  expect(memory.failed({ ...request, version: 29_999 })).toBe(2)
})

test("pauses are short at first, double with each failure, and end at the longest", () => {
  const [first, later, last] = [pausesAfter(1), pausesAfter(3), pausesAfter(50)]
  expect(Math.min(...first, ...later, ...last)).toBeGreaterThanOrEqual(RETRY_FIRST_MS)
  expect(Math.max(...first)).toBeLessThanOrEqual(RETRY_FIRST_MS * 6)
  expect(Math.max(...later)).toBeGreaterThan(RETRY_FIRST_MS * 11)
  expect(Math.max(...later)).toBeLessThanOrEqual(RETRY_FIRST_MS * 21)
  expect(Math.max(...last)).toBeGreaterThan(RETRY_LONGEST_MS / 2)
  expect(Math.max(...last)).toBeLessThanOrEqual(RETRY_LONGEST_MS)
  expect(new Set(last).size).toBeGreaterThan(100)
})
