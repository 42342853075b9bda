/** What is believed of endpoints follows from what they showed when all were looked at; no single one of three decides for the others. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { bestHead, judge, preference, type Sight } from "../../../src/adapters/ethereum/endpoint-health.ts"
import { ENDPOINT_STATES } from "../../../src/telemetry/chain-endpoints.port.ts"

const chainId = 1n
const policy = { chainId, lagBlocksMax: 5 }
const at = (head: number, finalized: number | undefined = head - 2): Sight => ({ type: "seen", chainId, head, finalized })
const anySight: fc.Arbitrary<Sight> = fc.oneof(
  fc.constantFrom<Sight>({ type: "unseen" }, { type: "silent" }),
  fc.record({
    type: fc.constant("seen" as const),
    chainId: fc.constantFrom(1n, 5n),
    head: fc.nat(200),
    finalized: fc.option(fc.nat(200), { nil: undefined })
  })
)

describe("an endpoint is", () => {
  test.each<[string, Sight, string]>([
    ["alive at the best head", at(100), "alive"],
    ["alive a few blocks behind it", at(95), "alive"],
    ["out of sync one block further", at(94), "out-of-sync"],
    ["ahead of the others and alive", at(101), "alive"],
    ["on another chain, however high", { type: "seen", chainId: 2n, head: 1_000_000, finalized: 1 }, "wrong-chain"],
    ["silent about what is final", { type: "seen", chainId, head: 100, finalized: undefined }, "finality-missing"],
    ["unreachable when it did not answer", { type: "silent" }, "unreachable"],
    ["not known before the first look", { type: "unseen" }, "unknown"]
  ])("%s", (_how, sight, state) => {
    expect(judge([at(100), at(100), sight], policy)[2]).toBe(state)
  })

  test("judged by itself where it is the only one: it cannot be behind anybody", () => {
    fc.assert(fc.property(fc.nat(), (head) => void expect(judge([at(head)], policy)).toEqual(["alive"])))
  })
})

test("whatever one endpoint of three claims, two that agree stay as they are", () => {
  fc.assert(
    fc.property(fc.nat(1_000), fc.nat(3), anySight, fc.nat(2), (head, apart, claim, place) => {
      const sights = [at(head), at(head + apart)].toSpliced(place, 0, claim)
      expect(judge(sights, policy).toSpliced(place, 1)).toEqual(["alive", "alive"])
    })
  )
})

test("the measure is a head that somebody showed on our chain", () => {
  fc.assert(
    fc.property(fc.array(anySight), (sights) => {
      const heads = sights.flatMap((sight) => (sight.type === "seen" && sight.chainId === chainId ? [sight.head] : []))
      const best = bestHead(sights, chainId)
      if (heads.length === 0) expect(best).toBeUndefined()
      else expect(heads).toContain(best)
    })
  )
})

describe("whom to ask", () => {
  const anyStates = fc.array(fc.constantFrom(...ENDPOINT_STATES), { maxLength: 8 })

  test("is everybody but endpoints of another chain, each once", () => {
    fc.assert(
      fc.property(anyStates, fc.func(fc.boolean()), (states, hasJustFailed) => {
        const order = preference(states, hasJustFailed)
        const usable = [...states.keys()].filter((index) => states[index] !== "wrong-chain")
        expect(order.toSorted((a, b) => a - b)).toEqual(usable)
      })
    )
  })

  test("is the operator's order among those that are alike, and the better ones first", () => {
    expect(preference(["out-of-sync", "alive", "unreachable", "alive", "wrong-chain"], () => false)).toEqual([1, 3, 0, 2])
    expect(preference(["alive", "alive", "out-of-sync"], (index) => index === 0)).toEqual([1, 2, 0])
  })

  test("never puts a worse one before a better one that has not just failed", () => {
    fc.assert(
      fc.property(anyStates, (states) => {
        const ranks = preference(states, () => false).map((index) => ENDPOINT_STATES.indexOf(states[index]!))
        expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
      })
    )
  })
})
