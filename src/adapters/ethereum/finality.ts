/** Which blocks are final enough under an operator's policy. The answer is remembered for a moment: many requests ask at once. */
import { Effect } from "effect"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import type { BlockRef } from "../../domain/outcome.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { requireBlock, sameBlock, type BlockHeader, type Rpc } from "./rpc.ts"

/** Far below any block time: nobody waits longer because of it. */
const REMEMBERED_MS = 50

export interface Finality {
  /** The newest block that is final enough: where questions are asked. */
  readonly newest: Effect.Effect<BlockHeader, ChainUnavailable>
  readonly of: (block: BlockRef) => Effect.Effect<"final" | "pending" | "gone", ChainUnavailable>
}

export const finalityOf = (rpc: Rpc, policy: FinalityPolicy): Finality => {
  const look =
    policy.type === "confirmations"
      ? Effect.flatMap(requireBlock(rpc, "latest"), ({ number }) => requireBlock(rpc, { number: Math.max(0, number - policy.blocks) }))
      : requireBlock(rpc, policy.type)
  const at = (number: number) => rpc.agreed({ about: "block", ask: rpc.block({ number }), settle: sameBlock })
  /** Where two have to agree: the lower of what they call final, if it is the same block for both. */
  const lower = rpc.agreed({ about: "head", ask: look, settle: (one, other) => ({ agreed: one.number <= other.number ? one : other }) })
  const newest = remembered(
    rpc.witnesses === 1
      ? lower
      : Effect.flatMap(lower, (block) =>
          Effect.flatMap(at(block.number), (standing) =>
            standing?.hash === block.hash
              ? Effect.succeed(block)
              : Effect.fail(new ChainUnavailable({ doing: "find the newest final block", cause: `no second word for block ${block.number}` }))
          )
        )
  )
  return {
    newest,
    of: Effect.fnUntraced(function* ({ blockNumber, blockHash }) {
      const final = yield* newest
      const isDeep = final.number >= blockNumber
      if (isDeep && final.hash === blockHash) return "final"
      const standing = yield* at(blockNumber)
      // A chain shorter than the block may be a lagging endpoint: that is not yet a "gone".
      if (standing === undefined) return "pending"
      if (standing.hash !== blockHash) return "gone"
      return isDeep ? "final" : "pending"
    })
  }
}

const remembered = (look: Effect.Effect<BlockHeader, ChainUnavailable>) => {
  let known: { readonly atMs: number; readonly block: BlockHeader } | undefined
  return Effect.gen(function* () {
    const nowMs = yield* monotonicMs
    if (known !== undefined && nowMs - known.atMs < REMEMBERED_MS) return known.block
    const block = yield* look
    known = { atMs: nowMs, block }
    return block
  })
}
