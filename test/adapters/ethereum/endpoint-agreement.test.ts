/** Two endpoints have to say the same. One that is silent is made up for by another; one that lies is outvoted or stops the matter. */
import { Effect, Result } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { firstTwoThatAgree } from "../../../src/adapters/ethereum/endpoint-agreement.ts"
import { identical, type Settle } from "../../../src/adapters/ethereum/rpc.ts"
import { ChainUnavailable } from "../../../src/journey/1-detected/request-log.port.ts"

/** What each endpoint says; undefined: nothing. */
const heard = async (says: ReadonlyArray<string | undefined>, settle: Settle<string> = identical) => {
  const asked: Array<number> = []
  const outvoted: Array<ReadonlyArray<number>> = []
  const result = await Effect.runPromise(
    Effect.result(
      firstTwoThatAgree({
        about: "logs",
        order: says.map((_, index) => ({ number: index + 1 })),
        settle,
        ask: ({ number }) =>
          Effect.suspend(() => {
            asked.push(number)
            const said = says[number - 1]
            return said === undefined ? Effect.fail(new ChainUnavailable({ doing: "ask", cause: "cut off" })) : Effect.succeed(said)
          }),
        onDisagreement: (members) => outvoted.push(members.map(({ number }) => number))
      })
    )
  )
  return { result, asked, outvoted }
}

/** "none" stands for a block that an endpoint does not have. */
const orNone: Settle<string> = (one, other) =>
  one === other ? { agreed: one } : one === "none" || other === "none" ? { agreed: "none", isProvisional: true } : undefined

describe("an endpoint that does not have a block", () => {
  test("does not hide it when two others have it, and is not accused", async () => {
    const { result, asked, outvoted } = await heard(["none", "a", "a"], orNone)
    expect({ said: Result.getOrThrow(result), asked, outvoted }).toEqual({ said: "a", asked: [1, 2, 3], outvoted: [] })
  })

  test("is believed when nobody else can be asked, or nobody else has it", async () => {
    for (const says of [["a", "none"], ["a", "none", undefined], ["none", "a", "none"]]) {
      expect(Result.getOrThrow((await heard(says, orNone)).result)).toBe("none")
    }
  })

  test("does not cover up that two others contradict each other", async () => {
    const { result, outvoted } = await heard(["a", "none", "b"], orNone)
    expect(Result.isFailure(result)).toBe(true)
    expect(outvoted).toEqual([[1, 2, 3]])
  })
})

describe("of several endpoints", () => {
  test("two that agree are enough, and nobody else is asked", async () => {
    const { result, asked, outvoted } = await heard(["a", "a", "b"])
    expect(Result.getOrThrow(result)).toBe("a")
    expect(asked).toEqual([1, 2])
    expect(outvoted).toEqual([])
  })

  test("the third decides between two that disagree, and whoever was outvoted is named", async () => {
    const { result, outvoted } = await heard(["logs", "none", "logs"])
    expect(Result.getOrThrow(result)).toBe("logs")
    expect(outvoted).toEqual([[2]])
  })

  test("the next one stands in for one that is silent, which is no disagreement", async () => {
    const { result, asked, outvoted } = await heard([undefined, "a", undefined, "a"])
    expect(Result.getOrThrow(result)).toBe("a")
    expect({ asked, outvoted }).toEqual({ asked: [1, 2, 3, 4], outvoted: [] })
  })

  test("two that disagree and nobody who decides leave nothing known, with the reason", async () => {
    const { result, outvoted } = await heard(["a", "b"])
    expect(Result.isFailure(result) && result.failure.cause).toEqual({ _tag: "EndpointsDisagree", about: "logs", endpoints: [1, 2] })
    expect(outvoted).toEqual([[1, 2]])
  })

  test("one that answers alone is not believed, and nobody is accused", async () => {
    const { result, outvoted } = await heard(["a", undefined, undefined])
    expect(Result.isFailure(result) && String(result.failure.cause)).toMatch(/^1 of 2 endpoints answered/)
    expect(outvoted).toEqual([])
  })

  test("an answer is believed if and only if two gave it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom("a", "b", "c", undefined), { maxLength: 6 }), async (says) => {
        const { result } = await heard(says)
        const given = says.filter((said) => said !== undefined)
        const twice = given.filter((said, index) => given.indexOf(said) !== index)
        if (Result.isSuccess(result)) expect(twice).toContain(result.success)
        else expect(twice).toEqual([])
      })
    )
  })
})
