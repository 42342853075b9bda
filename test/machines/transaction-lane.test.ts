/** One nonce, one batch: whatever the pool and the chain do, a slot never carries anything else and never gives up what may
 * still be mined. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  LANE_PATIENCE,
  nextSlot,
  openSlot,
  type SlotEffect,
  type SlotEvent,
  type SlotStep
} from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"

const ROOT: Hex = "0x600d"
const txHash = (attemptNo: number): Hex => `0x7a${attemptNo.toString(16).padStart(4, "0")}`
const BLOCK = { blockNumber: 9, blockHash: "0xb9" } as const
const NEXT_BLOCK = { blockNumber: 10, blockHash: "0xba" } as const
const OPEN = { nonce: 7, root: ROOT, txHash: txHash(0), now: 1_000 } as const

const run = (
  first: SlotStep,
  ...events: ReadonlyArray<SlotEvent>
): SlotStep & { readonly effects: ReadonlyArray<SlotEffect | null> } => {
  let step = first
  const effects: Array<SlotEffect | null> = [first.effect]
  for (const event of events) {
    step = nextSlot(JSON.parse(JSON.stringify(step.snapshot)), event)
    effects.push(step.effect)
  }
  return { ...step, effects }
}

const accepted = (now: number): SlotEvent => ({ type: "accepted", now })
const tick = (now: number): SlotEvent => ({ type: "tick", now })
const notMined = (now: number, isNonceUsed = false, isNonceFinal = false): SlotEvent => ({
  type: "not-mined",
  isNonceUsed,
  isNonceFinal,
  now
})
const mined = (now: number, attemptNo = 0, isSuccess = true): SlotEvent => ({
  type: "mined",
  txHash: txHash(attemptNo),
  block: BLOCK,
  isSuccess,
  now
})
const replaced = (now: number, attemptNo: number): SlotEvent => ({ type: "replaced", attemptNo, txHash: txHash(attemptNo), now })

const inPool = (): SlotStep => run(openSlot(OPEN), accepted(1_100))
const { bumpAfterMs, rebroadcastAfterMs, foreignAfterMs, attemptsMax } = LANE_PATIENCE

describe("the life of a slot", () => {
  test("signed, broadcast, mined, final: one broadcast, one look for the receipt, one for finality", () => {
    const step = run(openSlot(OPEN), accepted(1_100), tick(2_000), mined(2_100), { type: "final", now: 3_000 })
    expect(step.effects).toEqual([
      { type: "broadcast", attemptNo: 0 },
      null,
      { type: "find-receipt" },
      { type: "check-finality", block: BLOCK },
      null
    ])
    expect(step).toMatchObject({ isFinal: true, snapshot: { value: "final" } })
  })

  test("bytes that no endpoint takes are signed anew at the same nonce, after they were tried again", () => {
    const tried = run(openSlot(OPEN), tick(50_000))
    expect(tried.effect).toEqual({ type: "broadcast", attemptNo: 0 })
    expect(run(tried, tick(50_001)).effect).toEqual({ type: "sign", attemptNo: 1 })
  })

  test("a slot that was opened under a clock that was ahead is not left alone until it has caught up", () => {
    const ahead = run(openSlot({ ...OPEN, now: 3_600_000 }), accepted(3_600_000))
    expect(run(ahead, notMined(1_000)).effect).toEqual({ type: "sign", attemptNo: 1 })
  })

  test("after a crash before the broadcast the same bytes go out again", () => {
    expect(run(openSlot(OPEN), tick(50_000)).effect).toEqual({ type: "broadcast", attemptNo: 0 })
  })

  test("a quiet transaction is sent again as it is; a stuck one is signed again at the same nonce", () => {
    const quiet = run(inPool(), notMined(1_100 + rebroadcastAfterMs))
    expect(quiet.effect).toEqual({ type: "broadcast", attemptNo: 0 })
    const stuck = run(quiet, notMined(1_000 + bumpAfterMs))
    expect(stuck).toMatchObject({ effect: { type: "sign", attemptNo: 1 }, snapshot: { value: "bumping" } })
    expect(run(stuck, tick(60_000)).effect, "after a crash the same attempt is signed").toEqual({ type: "sign", attemptNo: 1 })
    const sent = run(stuck, replaced(26_000, 1))
    expect(sent.effect).toEqual({ type: "broadcast", attemptNo: 1 })
    expect(sent.snapshot).toMatchObject({ value: "signed", context: { nonce: 7, root: ROOT } })
  })

  test("when a replacement cannot be made the old bytes are sent again", () => {
    expect(run(inPool(), notMined(1_000 + bumpAfterMs), { type: "not-replaced", now: 27_000 })).toMatchObject({
      effect: { type: "broadcast", attemptNo: 0 },
      snapshot: { value: "broadcast" }
    })
  })

  test("an underpriced broadcast is bumped at once", () => {
    expect(run(openSlot(OPEN), { type: "underpriced", now: 1_100 }).effect).toEqual({ type: "sign", attemptNo: 1 })
  })

  test("any attempt may be the one that is mined, even while another is being signed", () => {
    const bumped = run(inPool(), notMined(1_000 + bumpAfterMs), replaced(26_000, 1), accepted(26_100))
    const bumping = run(bumped, notMined(26_000 + bumpAfterMs))
    expect(bumping.snapshot.value).toBe("bumping")
    expect(run(bumping, mined(60_000, 0)).snapshot).toMatchObject({ value: "mined", context: { mined: { txHash: txHash(0) } } })
  })

  test("a receipt that is not ours changes nothing", () => {
    const step = run(inPool(), { type: "mined", txHash: "0xf0", block: BLOCK, isSuccess: true, now: 2_000 })
    expect(step).toMatchObject({ effect: null, snapshot: { value: "broadcast" } })
  })

  test("fees are not raised for ever", () => {
    let step = inPool()
    let now = 1_100
    for (let attemptNo = 1; attemptNo < attemptsMax; attemptNo++) {
      now += bumpAfterMs
      step = run(step, notMined(now), replaced(now, attemptNo), accepted(now))
    }
    expect(step.snapshot.context.attempts).toHaveLength(attemptsMax)
    expect(run(step, notMined(now + bumpAfterMs)).effect).toEqual({ type: "broadcast", attemptNo: attemptsMax - 1 })
    expect(run(step, { type: "underpriced", now }).snapshot.value).toBe("broadcast")
  })
})

describe("when the chain surprises", () => {
  test("a reorganisation sends the mined bytes again first and bumps second", () => {
    const gone = run(
      inPool(),
      notMined(1_000 + bumpAfterMs),
      replaced(26_000, 1),
      accepted(26_100),
      mined(27_000, 0),
      { type: "reorged", now: 30_000 }
    )
    expect(gone.effect).toEqual({ type: "broadcast", attemptNo: 0 })
    expect(gone.snapshot).toMatchObject({ value: "broadcast", context: { mined: null } })
    expect(run(gone, notMined(30_000 + bumpAfterMs - 1)).effect).toEqual({ type: "broadcast", attemptNo: 0 })
    expect(run(gone, notMined(30_000 + bumpAfterMs)).effect).toEqual({ type: "sign", attemptNo: 2 })
  })

  test("a receipt in another block is followed there", () => {
    const moved = run(inPool(), mined(2_000), { ...mined(3_000), block: NEXT_BLOCK } as SlotEvent)
    expect(moved.effect).toEqual({ type: "check-finality", block: NEXT_BLOCK })
  })

  test("a reverted transaction fails only once its block is final", () => {
    const reverted = run(inPool(), mined(2_000, 0, false))
    expect(reverted).toMatchObject({ isFinal: false, snapshot: { value: "mined" } })
    expect(run(reverted, { type: "final", now: 9_000 })).toMatchObject({
      isFinal: true,
      effect: { type: "inspect", root: ROOT },
      snapshot: { value: "failed" }
    })
  })

  test("a used nonce means: look for receipts of all attempts, and believe in a loss only after long silence, in a final block", () => {
    const used = run(inPool(), { type: "nonce-used", now: 2_000 })
    expect(used).toMatchObject({ effect: { type: "find-receipt" }, snapshot: { value: "searching" } })
    expect(run(used, mined(2_500)).snapshot.value).toBe("mined")
    expect(run(used, notMined(2_000 + foreignAfterMs - 1, true, true)).snapshot.value).toBe("searching")
    expect(run(used, notMined(2_000 + foreignAfterMs, true)).snapshot.value).toBe("searching")
    expect(run(used, notMined(2_000 + foreignAfterMs, true, true))).toMatchObject({
      isFinal: true,
      effect: { type: "requeue", root: ROOT },
      snapshot: { value: "lost" }
    })
  })

  test("a nonce that is free again after all is broadcast again, and the silence counts anew", () => {
    const free = run(inPool(), { type: "nonce-used", now: 2_000 }, notMined(60_000, false))
    expect(free).toMatchObject({ effect: { type: "broadcast", attemptNo: 0 }, snapshot: { value: "broadcast" } })
    const usedAgain = run(free, notMined(100_000, true))
    expect(usedAgain.snapshot.value).toBe("searching")
    expect(run(usedAgain, notMined(2_000 + foreignAfterMs, true, true)).snapshot.value).toBe("searching")
  })

  test("proof of foreign bytes at the nonce gives the batch back at once", () => {
    expect(run(inPool(), { type: "foreign" })).toMatchObject({ isFinal: true, effect: { type: "requeue", root: ROOT } })
  })
})

const happening = (now: number): fc.Arbitrary<SlotEvent> =>
  fc.oneof(
    fc.constantFrom<SlotEvent>(
      tick(now),
      accepted(now),
      { type: "underpriced", now },
      { type: "nonce-used", now },
      { type: "not-replaced", now },
      notMined(now),
      notMined(now, true),
      notMined(now, true, true),
      { type: "final", now },
      { type: "pending", now },
      { type: "reorged", now }
    ),
    fc.nat(12).map((attemptNo) => replaced(now, attemptNo)),
    fc.tuple(fc.nat(12), fc.boolean()).map(([attemptNo, isSuccess]) => mined(now, attemptNo, isSuccess)),
    fc.constant<SlotEvent>({ type: "foreign" })
  )

describe("whatever happens, in whatever order", () => {
  const histories = fc.array(fc.nat(30_000), { maxLength: 40 }).chain((gaps) => {
    let now = OPEN.now
    return fc.tuple(...gaps.map((gap) => happening((now += gap))))
  })

  test("one nonce serves one root, attempts are numbered without gaps and none is ever forgotten", () => {
    fc.assert(
      fc.property(histories, (events) => {
        let step = openSlot(OPEN)
        for (const event of events) {
          const before = step.snapshot
          step = run(step, event)
          const { nonce, root, attempts, current } = step.snapshot.context
          expect([nonce, root]).toEqual([OPEN.nonce, OPEN.root])
          expect(attempts.slice(0, before.context.attempts.length)).toEqual(before.context.attempts)
          expect(attempts.length - before.context.attempts.length).toBeLessThanOrEqual(1)
          expect(attempts).toEqual(attempts.map((_, attemptNo) => txHash(attemptNo)))
          expect(attempts.length).toBeLessThanOrEqual(attemptsMax)
          expect(current).toBeLessThan(attempts.length)
          // Only stored bytes are broadcast.
          if (step.effect?.type === "broadcast") expect(step.effect.attemptNo).toBeLessThan(attempts.length)
          if (step.effect?.type === "sign") expect(step.effect.attemptNo).toBe(attempts.length)
        }
      }),
      { numRuns: 500 }
    )
  })

  test("an ended slot never changes and asks for nothing more", () => {
    fc.assert(
      fc.property(histories, (events) => {
        let step = openSlot(OPEN)
        for (const event of events) {
          const next = nextSlot(step.snapshot, event)
          if (step.isFinal) expect(next).toEqual({ snapshot: step.snapshot, effect: null, isFinal: true })
          step = next
        }
      }),
      { numRuns: 300 }
    )
  })

  test("success is believed only of one of our own transactions, in a final block", () => {
    fc.assert(
      fc.property(histories, (events) => {
        let step = openSlot(OPEN)
        for (const event of events) {
          const next = nextSlot(step.snapshot, event)
          if (next.snapshot.value === "final" && !step.isFinal) {
            expect([step.snapshot.value, event.type]).toEqual(["mined", "final"])
            expect(next.snapshot.context.attempts).toContain(next.snapshot.context.mined?.txHash)
          }
          step = next
        }
      }),
      { numRuns: 300 }
    )
  })
})
