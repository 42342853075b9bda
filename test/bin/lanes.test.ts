/** What an operator reads about the lanes. */
import { expect, test } from "vitest"
import { answerOf } from "../../bin/commands/lanes.ts"
import type { LaneView } from "../../src/ledger/lane-ledger.port.ts"

const NOW = 1_795_000_000_000
const slot = (nonce: number) => ({ nonce, state: "broadcast", attempts: 2, sinceMs: NOW - 90_000 })
const aLane = (given: Partial<LaneView> = {}): LaneView => ({
  chainId: 31_337n,
  address: `0x${"11".repeat(20)}`,
  owner: "gateway-1-abc",
  report: { state: "working", balance: 15n * 10n ** 17n, chainNonce: 7, atMs: NOW - 2_000 },
  nextNonce: 9,
  slots: [7, 8].map(slot),
  spent: 3n * 10n ** 16n,
  ...given
})

test("a lane is shown with its owner, state, balance, spending and its open nonces from the lowest up", () => {
  expect(answerOf([aLane()], [{ chainId: 31_337n, waiting: 3, putOff: 1, oldestMs: 4_000 }], 60, NOW).lines).toEqual([
    `0x${"11".repeat(20)}  chain 31337  working  driven by gateway-1-abc`,
    "  balance 1.5, spent 0.03 in 60 min, next nonce 9 (chain: 7), 2 open",
    "         7  broadcast  2 attempts, signed 90 s ago",
    "         8  broadcast  2 attempts, signed 90 s ago",
    "queue      chain 31337: 3 waiting, 1 of them put off, the oldest for 4 s"
  ])
})

test("an old report is called old, a long ladder is cut, and what is not known is not made up", () => {
  const lost = aLane({ owner: null, slots: Array.from({ length: 20 }, (_, nonce) => slot(nonce)), report: { ...aLane().report!, atMs: NOW - 600_000 } })
  expect(answerOf([lost], [], 60, NOW).lines).toContain(`0x${"11".repeat(20)}  chain 31337  working 10 min ago  nobody drives it`)
  expect(answerOf([lost], [], 60, NOW).lines.at(-1)).toBe("            and 12 above them")
  expect(answerOf([aLane({ report: null, nextNonce: null, slots: [] })], [], 60, NOW).lines).toEqual([
    `0x${"11".repeat(20)}  chain 31337  never reported  driven by gateway-1-abc`,
    "  balance ?, spent 0.03 in 60 min, next nonce none (chain: ?), 0 open"
  ])
  expect(answerOf([], [], 60, NOW).lines).toEqual(["no lanes: no sender has reported yet"])
})

test("a program gets amounts in wei, as text", () => {
  expect(JSON.parse(JSON.stringify(answerOf([aLane()], [], 60, NOW).json))).toMatchObject({
    lanes: [{ chainId: "31337", spentWei: "30000000000000000", report: { balance: "1500000000000000000", state: "working" } }]
  })
})
