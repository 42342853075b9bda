/** detected -> acl-checked: only a yes at a final block is a yes, only a no is a no, and everything else is "not now". */
import { Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import type { RequestId } from "../../src/domain/request.ts"
import { ChainUnavailable } from "../../src/journey/1-detected/request-log.port.ts"
import { AccessList, type Denial, type Permission } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { checkAcl } from "../../src/journey/2-acl-checked/check-acl.ts"
import { aBlock, aDetected } from "./a-request.ts"

const block = aBlock()
const detected = aDetected()

/** Answers as told, and notes who was asked about. */
const saying = (of: {
  readonly finality?: "final" | "pending" | "gone" | ChainUnavailable
  readonly permission?: Permission | ChainUnavailable
}) => {
  const asked: Array<RequestId> = []
  const answer = <A>(said: A | ChainUnavailable) => (said instanceof ChainUnavailable ? Effect.fail(said) : Effect.succeed(said))
  const layer = Layer.succeed(AccessList, {
    finality: () => answer(of.finality ?? "final"),
    permission: (id) => Effect.suspend(() => (asked.push(id), answer<Permission>(of.permission ?? { type: "allowed", block })))
  })
  return { asked, outcome: () => Effect.runPromise(checkAcl(detected).pipe(Effect.provide(layer))) }
}

test("a yes is recorded with the block at which it was said", async () => {
  expect(await saying({}).outcome()).toEqual({ type: "acl-checked", block })
})

test.each<Denial>(["not-allowed", "not-public", "not-delegated", "epoch-retired", "unknown-request"])(
  "the no %s refuses the request, with that reason and the block",
  async (reason) => {
    const outcome = await saying({ permission: { type: "denied", reason, block } }).outcome()
    expect(outcome).toMatchObject({ type: "refused", reason, detail: expect.stringContaining(block.blockHash) as string })
  }
)

test("a request that somebody has fulfilled already is submitted, by their transaction", async () => {
  const txHash = `0x${"77".repeat(32)}` as const
  expect(await saying({ permission: { type: "fulfilled", txHash, block } }).outcome()).toEqual({
    type: "submitted",
    txHash,
    block
  })
})

test("a request whose deadline has passed is expired, not refused", async () => {
  expect(await saying({ permission: { type: "expired", block } }).outcome()).toMatchObject({ type: "expired" })
})

describe("silence is never an answer", () => {
  test.each([
    ["pending", "waiting-for-finality"],
    ["gone", "block-gone"]
  ] as const)("while its block is %s the access list is not even asked", async (finality, reason) => {
    const list = saying({ finality, permission: { type: "denied", reason: "not-allowed", block } })
    expect(await list.outcome()).toMatchObject({ type: "postponed", reason })
    expect(list.asked).toEqual([])
  })

  test("a contract that does not see the request yet postpones it", async () => {
    expect(await saying({ permission: { type: "unknown", block } }).outcome()).toMatchObject({
      type: "postponed",
      reason: "request-not-visible"
    })
  })

  test.each(["finality", "permission"] as const)(
    "a chain that cannot be asked about %s fails the step, with the fate to try again",
    async (question) => {
      const down = new ChainUnavailable({ doing: question, cause: "down" })
      await expect(saying({ [question]: down }).outcome()).rejects.toMatchObject({ _tag: "ChainUnavailable", fate: "retry" })
    }
  )
})
