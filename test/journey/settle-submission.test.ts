/**
 * What the chain says about results on their way: fulfilled by anybody is success, and only the chain's own clock expires a
 * request.
 */
import { Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import { ChainUnavailable } from "../../src/journey/1-detected/request-log.port.ts"
import { type Mined, ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { findFulfilment, watchFinality } from "../../src/journey/6-submitted/settle-submission.ts"
import { aBlock, someHex } from "./a-request.ts"

const id = someHex(32)
const txHash = someHex(32)
const DEADLINE = 5_000

const contract = (of: {
  readonly fulfilment?: Mined
  readonly timestamp?: number
  readonly finality?: "final" | "pending" | "gone"
  readonly isDown?: boolean
}) => {
  const notAsked = () => Effect.die("not a question of this step")
  const answer = <A>(value: A) =>
    of.isDown === true ? Effect.fail(new ChainUnavailable({ doing: "ask", cause: "down" })) : Effect.succeed(value)
  return Layer.succeed(ResultContract, {
    chainId: 31_337n,
    addresses: [],
    together: (questions) => questions,
    latest: answer({ number: 9, hash: someHex(32), parentHash: someHex(32), timestamp: of.timestamp ?? DEADLINE }),
    fulfilment: () => answer(of.fulfilment),
    finality: () => answer(of.finality ?? "final"),
    nonceOf: notAsked,
    pendingNonceOf: notAsked,
    finalNonceOf: notAsked,
    balanceOf: notAsked,
    signCancellation: notAsked,
    fees: notAsked(),
    estimate: notAsked,
    sign: notAsked,
    broadcast: notAsked,
    mined: notAsked,
    statuses: notAsked
  })
}

describe("a result that is on its way", () => {
  const look = (of: Parameters<typeof contract>[0]) =>
    Effect.runPromise(findFulfilment(id, DEADLINE).pipe(Effect.provide(contract(of))))
  const mined: Mined = { txHash, block: aBlock(), isSuccess: true }

  test("has arrived when the chain has it, whoever brought it, also after the deadline", async () => {
    expect(await look({ fulfilment: mined })).toEqual({ type: "submitted", txHash, block: mined.block })
    expect(await look({ fulfilment: mined, timestamp: DEADLINE + 1_000 })).toMatchObject({ type: "submitted" })
  })

  test("is still awaited through the very second of its deadline", async () => {
    expect(await look({ timestamp: DEADLINE })).toBeUndefined()
  })

  test("has expired when the chain's clock is past the deadline", async () => {
    expect(await look({ timestamp: DEADLINE + 1 })).toMatchObject({
      type: "expired",
      detail: expect.stringContaining("block 9") as string
    })
  })

  test("is not decided about when the chain cannot be asked", async () => {
    await expect(look({ isDown: true })).rejects.toMatchObject({ _tag: "ChainUnavailable", fate: "retry" })
  })
})

describe("a result that has arrived", () => {
  const block = aBlock()
  const watch = (of: Parameters<typeof contract>[0]) =>
    Effect.runPromise(watchFinality(id, DEADLINE, txHash, block).pipe(Effect.provide(contract(of))))

  test("is finalized once its block is final enough", async () => {
    expect(await watch({ finality: "final" })).toEqual({ type: "finalized", txHash, block })
  })

  test("is looked at again while it is not", async () => {
    expect(await watch({ finality: "pending" })).toMatchObject({ type: "postponed", reason: "waiting-for-finality" })
  })

  test("is followed to its new block when a reorganisation moved it", async () => {
    const moved: Mined = { txHash: someHex(32), block: aBlock(43), isSuccess: true }
    expect(await watch({ finality: "gone", fulfilment: moved })).toEqual({
      type: "submitted",
      txHash: moved.txHash,
      block: moved.block
    })
  })

  test("is waited for when a reorganisation took it away, until the deadline", async () => {
    expect(await watch({ finality: "gone" })).toMatchObject({ type: "postponed", reason: "result-reorganised" })
    expect(await watch({ finality: "gone", timestamp: DEADLINE + 1 })).toMatchObject({ type: "expired" })
  })

  test("is not decided about when the chain cannot be asked", async () => {
    await expect(watch({ isDown: true })).rejects.toMatchObject({ _tag: "ChainUnavailable" })
  })
})
