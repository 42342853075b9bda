/** What nobody could handle comes again ever later, and is let go before the bus takes it for poison. */
import { describe, expect, test } from "vitest"
import { comeAgain } from "../../../actors/runtime/come-again.ts"
import { WORK_TIMEOUT_MS } from "../../../src/domain/limits.ts"
import { DELIVERIES_MAX } from "../../../src/messaging/bus-limits.ts"

describe("a message about which nothing could be done", () => {
  const pauses: Array<number> = []
  for (let deliveries = 1; ; deliveries++) {
    const verdict = comeAgain({ deliveries })
    if (verdict.type !== "nak") break
    pauses.push(verdict.delayMs)
  }

  test("comes again ever later, but soon after an outage has ended", () => {
    expect(pauses.slice(0, 6)).toEqual([200, 400, 800, 1_600, 2_000, 2_000])
    expect(Math.max(...pauses)).toBe(2_000)
  })

  test("is tried for longer than the ledger waits before it gives the work out again, and let go before it is called poison", () => {
    expect(pauses.reduce((sum, pause) => sum + pause)).toBeGreaterThan(WORK_TIMEOUT_MS)
    expect(pauses.length).toBeLessThan(DELIVERIES_MAX - 1)
    expect(comeAgain({ deliveries: DELIVERIES_MAX })).toEqual({ type: "ack" })
  })
})
