/** What this process believes of each node, from its own experience: it orders whom to ask and never decides whether an
 * answer is right. */
import { Clock, Effect } from "effect"
import { describe, expect, test } from "vitest"
import { nodeBeliefs, type NodeBeliefs } from "../../actors/kms-node.actor.ts"
import { AnswerInvalid, NodeUnavailable } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { BUDGET } from "../../src/resilience/retry-budget.ts"
import { aCommitteeRecord } from "../journey/a-request.ts"
import { heardTelemetry } from "./support/heard-telemetry.ts"
import { movedClock } from "./support/moved-clock.ts"

const committee = aCommitteeRecord(2, 4)
const unavailable = (nodeId: number) => new NodeUnavailable({ nodeId, reason: "timeout", retryAfterMs: 0 })

const believing = () => {
  const time = movedClock()
  const telemetry = heardTelemetry()
  const beliefs = Effect.runSync(
    nodeBeliefs.pipe(Effect.provide(telemetry.layer), Effect.provideService(Clock.Clock, time.clock))
  )
  return { beliefs, time, telemetry }
}

const answers = (beliefs: NodeBeliefs, node: number, latencyMs: number, times = 1): void => {
  for (let count = 0; count < times; count++) {
    beliefs.asked(committee, node)
    beliefs.answered(committee, node, latencyMs)
  }
}

const fails = (beliefs: NodeBeliefs, node: number, times: number): void => {
  for (let count = 0; count < times; count++) {
    beliefs.asked(committee, node)
    beliefs.failed(committee, node, unavailable(node))
  }
}

describe("beliefs about nodes", () => {
  test("rank the fast before the slow, and the doubtful after all who are well", () => {
    const { beliefs } = believing()
    answers(beliefs, 1, 300)
    answers(beliefs, 2, 20)
    answers(beliefs, 3, 100)
    answers(beliefs, 4, 5)
    expect(beliefs.rank(committee)).toEqual([4, 2, 3, 1])
    fails(beliefs, 4, 2)
    expect(beliefs.rank(committee)).toEqual([2, 3, 1, 4])
  })

  test("leave out a node that keeps failing, until it has rested", () => {
    const { beliefs, time } = believing()
    fails(beliefs, 2, 5)
    expect(beliefs.rank(committee)).toEqual([1, 3, 4])
    time.forward(60_000)
    expect(beliefs.rank(committee)).toContain(2)
  })

  test("leave out a liar however long it rests, and say so", () => {
    const { beliefs, time, telemetry } = believing()
    beliefs.lied(committee, 1)
    time.forward(24 * 3_600_000)
    expect(beliefs.rank(committee)).toEqual([2, 3, 4])
    expect(beliefs.states().get(committee.nodes[0]!.identity)).toBe("suspended")
    expect(telemetry.warnings.at(-1)).toMatchObject({ what: "kms node", data: { node: 1, to: "suspended" } })
  })

  test("still name everybody, the trusted first, when too few are left for a threshold", () => {
    const { beliefs } = believing()
    for (const node of [1, 2, 3]) beliefs.lied(committee, node)
    expect(beliefs.rank(committee)[0]).toBe(4)
    expect(beliefs.rank(committee).toSorted()).toEqual([1, 2, 3, 4])
  })

  test("allow a hedge for every ten answers beyond the first few: what is slow as a whole is not asked ever more for it", () => {
    const { beliefs } = believing()
    const hedges = (): number => {
      let count = 0
      for (; count < 1_000 && beliefs.mayHedge(); count++) beliefs.hedged(1)
      return count
    }
    expect(hedges()).toBe(BUDGET.floor)
    answers(beliefs, 1, 20, 9)
    expect(beliefs.mayHedge()).toBe(false)
    answers(beliefs, 1, 20, 21)
    expect(hedges()).toBe(3)
  })

  test("hedge after the slowest of those asked usually takes, and at once for nobody", () => {
    const { beliefs } = believing()
    expect(beliefs.hedgeAfterMs(committee, [1, 2])).toBe(500)
    answers(beliefs, 1, 10, 60)
    answers(beliefs, 2, 200, 60)
    expect(beliefs.hedgeAfterMs(committee, [1])).toBe(50)
    expect(beliefs.hedgeAfterMs(committee, [1, 2])).toBeGreaterThan(150)
    expect(beliefs.hedgeAfterMs(committee, [1, 2])).toBeLessThan(450)
  })

  test("belong to an identity: the same number in another committee is another node", () => {
    const { beliefs } = believing()
    const other = aCommitteeRecord(2, 4)
    beliefs.asked(committee, 1)
    beliefs.failed(committee, 1, new AnswerInvalid({ nodeId: 1, reason: "signature" }))
    beliefs.lied(committee, 1)
    expect(beliefs.rank(other)).toEqual([1, 2, 3, 4])
  })
})
