/** Whom the quorum asks, and when it is enough: never more nodes than the budget, and the same verdict in whatever order answers
 * come. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { nextQuorum, openQuorum, type QuorumEvent, type QuorumStep } from "../../machines/share-quorum.machine.ts"
import type { NodeId } from "../../src/domain/committee.ts"

const OPENING = { threshold: 3, committeeSize: 5, ranked: [5, 2, 4, 1, 3], budget: 5, held: [], askedBefore: [] } as const

/** All that happens to one request, and everybody who was asked on the way; every snapshot goes through JSON. */
const run = (
  first: QuorumStep,
  events: ReadonlyArray<QuorumEvent>
): QuorumStep & { readonly asks: ReadonlyArray<ReadonlyArray<NodeId>> } => {
  let step = first
  const asks = [first.ask]
  for (const event of events) {
    step = nextQuorum(JSON.parse(JSON.stringify(step.snapshot)), event)
    asks.push(step.ask)
  }
  return { ...step, asks }
}

const heard = (node: NodeId): QuorumEvent => ({ type: "heard", node })
const failed = (node: NodeId, isFinal = true): QuorumEvent => ({ type: "failed", node, isFinal, isNo: false })
const refused = (node: NodeId): QuorumEvent => ({ type: "failed", node, isFinal: true, isNo: true })
const HEDGE: QuorumEvent = { type: "hedge-due" }

describe("whom it asks", () => {
  test("starts with exactly k, the best first", () => {
    expect(openQuorum(OPENING)).toMatchObject({ ask: [5, 2, 4], snapshot: { value: "asking" } })
  })

  test("starts with fewer when answers are held already", () => {
    expect(openQuorum({ ...OPENING, held: [2] }).ask).toEqual([5, 4])
    expect(openQuorum({ ...OPENING, held: [1, 2, 3] })).toMatchObject({ ask: [], snapshot: { value: "reached" } })
  })

  test("replaces a failed node at once by the next best", () => {
    expect(run(openQuorum(OPENING), [failed(2), failed(5, false)]).asks).toEqual([[5, 2, 4], [1], [3]])
  })

  test("asks one more on each hedge that is due", () => {
    expect(run(openQuorum(OPENING), [HEDGE, HEDGE, HEDGE]).asks).toEqual([[5, 2, 4], [1], [3], []])
  })

  test("does not replace a failed node that a hedge has replaced already", () => {
    expect(run(openQuorum(OPENING), [HEDGE, failed(5, false)]).asks).toEqual([[5, 2, 4], [1], []])
  })

  test("a node that may be tried again is asked again on a hedge, when nobody better is left", () => {
    const step = run(openQuorum({ ...OPENING, ranked: [5, 2, 4] }), [failed(2, false), HEDGE, HEDGE])
    expect(step.asks).toEqual([[5, 2, 4], [], [2], []])
  })

  test("a node that failed for good is never asked again", () => {
    const step = run(openQuorum({ ...OPENING, ranked: [5, 2, 4, 1] }), [failed(2), HEDGE, HEDGE])
    expect(step.asks).toEqual([[5, 2, 4], [1], [], []])
  })

  test("below the budget of k - 1 it is starved until the budget is raised", () => {
    const before = run(openQuorum({ ...OPENING, budget: 2 }), [heard(5), heard(2), HEDGE])
    expect(before.asks).toEqual([[5, 2], [], [], []])
    expect(before.snapshot.value).toBe("starved")
    const raised = nextQuorum(before.snapshot, { type: "budget-raised", budget: 5 })
    expect(raised).toMatchObject({ ask: [4], snapshot: { value: "asking" } })
  })

  test("nodes that were asked before a crash cost no further budget", () => {
    expect(openQuorum({ ...OPENING, budget: 3, askedBefore: [1, 3, 4] }).ask).toEqual([4, 1, 3])
  })

  test("a liar is replaced at once and does not count again", () => {
    const reached = run(openQuorum(OPENING), [heard(5), heard(2), heard(4)])
    expect(reached.snapshot.value).toBe("reached")
    const again = run(reached, [{ type: "disowned", node: 2 }, heard(2)])
    expect(again.asks.at(1)).toEqual([1])
    expect(again.snapshot.value).toBe("asking")
    expect(nextQuorum(again.snapshot, heard(1)).snapshot.value).toBe("reached")
  })
})

describe("when it is enough", () => {
  test("a second answer of a node, or one that nobody asked for, does not count", () => {
    expect(run(openQuorum(OPENING), [heard(5), heard(5), heard(5), heard(3), heard(99)]).snapshot).toMatchObject({
      value: "asking",
      context: { good: [5] }
    })
  })

  test("a late answer of a node that had timed out counts", () => {
    expect(run(openQuorum(OPENING), [failed(5, false), heard(5), heard(2), heard(4)]).snapshot.value).toBe("reached")
  })

  test("hope ends as soon as the silent ones no longer suffice", () => {
    const step = run(openQuorum(OPENING), [failed(5), failed(2), failed(4)])
    expect(step.snapshot.value).toBe("out-of-reach")
    expect(run(step, [HEDGE, heard(1)]).asks.flat()).toEqual([])
  })

  test("when nodes refuse and k is out of reach, it asks on until a no is certain (seed 1048)", () => {
    const aLiarIsNotRanked = { ...OPENING, ranked: [5, 2, 4, 1] }
    const short = run(openQuorum(aLiarIsNotRanked), [refused(5), refused(2)])
    expect(short.asks).toEqual([[5, 2, 4], [1], []])
    expect(short.snapshot.value).toBe("asking")
    expect(run(short, [heard(4), refused(1)]).snapshot).toMatchObject({ value: "out-of-reach", context: { refused: [5, 2, 1] } })
    expect(run(short, [heard(4), heard(1)]).snapshot.value).toBe("out-of-reach")
    expect(run(short, [failed(4, false), failed(1, false)]).snapshot.value).toBe("starved")
    // An answer that is nobody's "no" brings the end no nearer, but does not hide it either.
    expect(run(openQuorum(OPENING), [failed(5), refused(2), refused(4), refused(1)]).snapshot).toMatchObject({
      value: "out-of-reach",
      context: { refused: [2, 4, 1] }
    })
  })

  test("asks nobody more when neither k answers nor a no can still be had", () => {
    const twoLiarsAreNotRanked = { ...OPENING, ranked: [5, 2, 4] }
    expect(run(openQuorum(twoLiarsAreNotRanked), [heard(5), refused(2)]).snapshot.value).toBe("out-of-reach")
  })

  test("fewer nodes than k are out of reach from the start", () => {
    expect(openQuorum({ ...OPENING, ranked: [1, 2] }).snapshot.value).toBe("out-of-reach")
  })
})

describe("whatever happens, in whatever order", () => {
  const node = fc.integer({ min: 1, max: 7 })
  const event: fc.Arbitrary<QuorumEvent> = fc.oneof(
    { weight: 3, arbitrary: node.map(heard) },
    { weight: 3, arbitrary: fc.tuple(node, fc.boolean()).map(([id, isFinal]) => failed(id, isFinal)) },
    { weight: 2, arbitrary: node.map(refused) },
    { weight: 2, arbitrary: fc.constant(HEDGE) },
    { weight: 1, arbitrary: node.map((id): QuorumEvent => ({ type: "disowned", node: id })) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }).map((budget): QuorumEvent => ({ type: "budget-raised", budget })) }
  )
  const opening = fc.record({
    threshold: fc.integer({ min: 1, max: 5 }),
    committeeSize: fc.constant(7),
    ranked: fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
    budget: fc.integer({ min: 0, max: 7 }),
    held: fc.constant([]),
    askedBefore: fc.subarray([1, 2, 3], { maxLength: 2 })
  })

  test("it never asks more distinct nodes than the budget, and asks nobody twice who did not fail in between", () => {
    fc.assert(
      fc.property(opening, fc.array(event, { maxLength: 30 }), (given, events) => {
        let step = openQuorum(given)
        let budget = Math.max(given.budget, given.askedBefore.length)
        const asked = new Set<NodeId>(given.askedBefore)
        const askable = new Set<NodeId>(given.ranked)
        const notice = (): void => {
          for (const id of step.ask) {
            expect(askable.has(id), `node ${id} asked again without a failure, or not in the committee`).toBe(true)
            askable.delete(id)
            asked.add(id)
          }
          expect(asked.size).toBeLessThanOrEqual(budget)
        }
        notice()
        for (const happening of events) {
          if (happening.type === "budget-raised") budget = Math.max(budget, happening.budget)
          const wasInFlight = happening.type === "failed" && step.snapshot.context.inFlight.includes(happening.node)
          if (happening.type === "failed" && !happening.isFinal && wasInFlight) askable.add(happening.node)
          step = nextQuorum(step.snapshot, happening)
          notice()
        }
      }),
      { numRuns: 500 }
    )
  })

  test("the same answers give the same verdict in every order", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }),
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }),
        (threshold, isGood, orderA, orderB) => {
          const verdictOf = (order: ReadonlyArray<NodeId>): string => {
            // All are asked, then each answers or fails once.
            const all = run(openQuorum({ ...OPENING, threshold }), [HEDGE, HEDGE, HEDGE, HEDGE])
            const events = order.map((id) => (isGood[id - 1] === true ? heard(id) : failed(id)))
            return run(all, events).snapshot.value
          }
          const goodOnes = isGood.filter(Boolean).length
          expect(verdictOf(orderA)).toBe(verdictOf(orderB))
          expect(verdictOf(orderA)).toBe(goodOnes >= threshold ? "reached" : "out-of-reach")
        }
      ),
      { numRuns: 300 }
    )
  })

  test("with enough honest nodes and budget it is reached, however the others behave", () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }),
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 3, maxLength: 3 }),
        fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
        (ranked, honest, coins) => {
          let step = openQuorum({ ...OPENING, ranked })
          for (const isFinal of coins) {
            const [oldest] = step.snapshot.context.inFlight
            if (oldest === undefined) step = nextQuorum(step.snapshot, HEDGE)
            else step = nextQuorum(step.snapshot, honest.includes(oldest) ? heard(oldest) : failed(oldest, isFinal))
          }
          expect(step.snapshot.value).toBe("reached")
        }
      ),
      { numRuns: 200 }
    )
  })
})
