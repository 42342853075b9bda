/** The checks that only the simulator can make: each is shown a world in which one thing is wrong, and has to say so. */
import { describe, expect, test } from "vitest"
import type { SimBlock } from "../../chaos/simulator/chain/sim-block.ts"
import { nobodyDied, onlyPoisonParked, rightEnds, type Judged } from "../../chaos/simulator/right-ends.ts"
import type { Expected } from "../../chaos/simulator/sim-world.ts"
import { toHex, type Hex } from "../../src/domain/hex.ts"
import type { RequestState } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { DELIVERIES_MAX } from "../../src/messaging/bus-limits.ts"
import { trueRecords, aRequest, word } from "../verify/true-records.ts"

const RIGHT = new Uint8Array([1, 2, 3])
const { stored } = trueRecords([aRequest(1)]).requests[0]!
const DEADLINE = 1_000

interface Told {
  readonly state: RequestState | undefined
  readonly mayEnd?: Expected["mayEnd"]
  /** Results on chain, in order. */
  readonly results?: ReadonlyArray<Hex>
  readonly isLost?: boolean
  readonly now?: number
}

/** A world with one request, of which this is true. */
const world = ({ state, mayEnd = ["finalized"], results = [], isLost = false, now = DEADLINE - 1 }: Told): Judged => {
  const id: RequestId = word(1)
  const facts = { ...stored.facts, deadline: DEADLINE }
  const effects = results.map((result, index) => ({ requestId: id, txHash: word(50 + index), from: word(0), result }))
  const head = { effects, timestamp: now } as Partial<SimBlock> as SimBlock
  return {
    expected: new Map([[id, { id, facts, mayEnd }]]),
    stateOf: () => state,
    chain: { canonical: () => [head], lost: new Set(isLost ? [id] : []), head },
    resultOf: () => RIGHT
  }
}

describe("right ends", () => {
  test.each<readonly [string, Told]>([
    ["a finalized request with its one result", { state: "finalized", results: [toHex(RIGHT)] }],
    ["a no where one is deserved", { state: "refused", mayEnd: ["refused"] }],
    ["a request that the chain has lost, and that was orphaned", { state: "orphaned", isLost: true }],
    ["one that expired after its deadline", { state: "expired", mayEnd: ["finalized", "expired"], now: DEADLINE + 1 }]
  ])("has nothing against %s", (_what, told) => {
    expect(rightEnds(world(told))).toEqual({ name: "right ends", examined: 1, violations: [] })
  })

  test.each<readonly [string, Told, RegExp]>([
    ["a no that nobody deserved", { state: "refused" }, /ended as refused, and may only end as finalized/],
    ["a yes to who deserved a no", { state: "finalized", mayEnd: ["refused"], results: [toHex(RIGHT)] }, /ended as finalized, and may only end as refused/],
    ["an orphan that the chain has not lost", { state: "orphaned" }, /ended as orphaned/],
    ["a finalized request without a result", { state: "finalized" }, /is finalized, and the chain has 0 results/],
    ["a finalized request with two results", { state: "finalized", results: [toHex(RIGHT), toHex(RIGHT)] }, /is finalized, and the chain has 2 results/],
    ["a refused request that has a result", { state: "refused", mayEnd: ["refused"], results: [toHex(RIGHT)] }, /ended as refused, and the chain has its result/],
    ["a wrong result", { state: "finalized", results: ["0x010204"] }, /has a wrong result on chain/],
    ["a deadline that was not waited for", { state: "expired", mayEnd: ["finalized", "expired"] }, /ended as expired before its deadline/]
  ])("notices %s", (_what, told, says) => {
    const { violations } = rightEnds(world(told))
    expect(violations).toHaveLength(1)
    expect(violations[0]).toMatch(says)
  })
})

test("a defect of any gateway is a violation, whatever else went well", () => {
  const gateways = new Map()
  expect(nobodyDied({ gateways, died: [] }).violations).toEqual([])
  expect(nobodyDied({ gateways, died: [{ node: "g1", what: "an actor died" }] }).violations).toEqual(["g1: an actor died"])
})

test("a message that was parked for having come too often is a violation, and one that nobody can read is not", () => {
  const parked = (deliveries: number) => ({
    ...{ id: "1-0a1b2c3d", subject: "decryption.outcome.0", body: new Uint8Array(1), reason: "why", deliveries, parkedAtMs: 0 }
  })
  const look = (...deliveries: ReadonlyArray<number>) => onlyPoisonParked({ broker: { deliveredCount: 40, parked: deliveries.map(parked) } })
  expect(look(1, DELIVERIES_MAX - 1)).toMatchObject({ examined: 40, violations: [] })
  expect(look(1, DELIVERIES_MAX).violations).toEqual(["decryption.outcome.0: why"])
})
