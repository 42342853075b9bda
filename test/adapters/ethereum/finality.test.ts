/** What is final is told by one endpoint and what stands below it by another: they have to be of one chain. */
import { Effect, Result } from "effect"
import { describe, expect, test } from "vitest"
import { finalityOf } from "../../../src/adapters/ethereum/finality.ts"
import type { BlockHeader, BlockTag, Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import type { Hex } from "../../../src/domain/hex.ts"

const hashOf = (number: number, branch: number): Hex => `0x${`${branch}${number}`.padStart(64, "0")}`
const header = (number: number, branch: number): BlockHeader => ({
  ...{ number, hash: hashOf(number, branch), parentHash: hashOf(number - 1, branch), timestamp: number },
  ...{ logsBloom: "0x", baseFeePerGas: 0n }
})

/** `finalized` is told by an endpoint that is well, heights by one whose branch begins at `leftAt`; a branch of its own is as long as the chain. */
const rpcOf = (finalized: number, leftAt: number): Rpc => {
  const block = (tag: BlockTag) =>
    Effect.sync(() => {
      const number = typeof tag === "object" && "number" in tag ? tag.number : undefined
      return number === undefined ? header(finalized, 0) : header(number, number < leftAt ? 0 : 1)
    })
  return { witnesses: 1, block, agreed: ({ ask }: { readonly ask: unknown }) => ask } as unknown as Rpc
}

const ask = (rpc: Rpc, number: number, branch: number) =>
  Effect.runPromise(
    Effect.result(finalityOf(rpc, { type: "finalized" }).of({ blockNumber: number, blockHash: hashOf(number, branch) }))
  )

describe("a block is final", () => {
  const NOBODYS_BRANCH = 1_000

  test("when it stands below the final block of the endpoint that is asked", async () => {
    expect(Result.getOrThrow(await ask(rpcOf(9, NOBODYS_BRANCH), 5, 0))).toBe("final")
    expect(Result.getOrThrow(await ask(rpcOf(9, NOBODYS_BRANCH), 9, 0))).toBe("final")
    expect(Result.getOrThrow(await ask(rpcOf(9, NOBODYS_BRANCH), 5, 1))).toBe("gone")
  })

  test.each([5, 9])("and not because an endpoint on a branch that was left has it: at height %i nothing is known", async (number) => {
    const answer = await ask(rpcOf(9, 4), number, 1)
    expect(Result.isFailure(answer) && answer.failure._tag).toBe("ChainUnavailable")
  })
})
