/** Which blocks are final enough under an operator's policy. What the chain says is remembered for a moment: many requests ask at once, and
 * those that wait for finality ask about the same few blocks again and again. */
import { Effect } from "effect"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import type { BlockRef } from "../../domain/outcome.ts"
import { type CacheBounds, Cache } from "../../resilience/cache.ts"
import { type CacheMeter, UNMETERED } from "../../resilience/cache-meter.ts"
import { requireBlock, sameBlock, type BlockHeader, type Rpc } from "./rpc.ts"

/** Far below any block time: nobody waits longer because of it. As many heights as a herd of requests stands in. */
const REMEMBERED: CacheBounds = { ageMsMax: 50, entriesMax: 1_024 }

export interface Finality {
  /** The newest block that is final enough: where questions are asked. */
  readonly newest: Effect.Effect<BlockHeader, ChainUnavailable>
  readonly of: (block: BlockRef) => Effect.Effect<"final" | "pending" | "gone", ChainUnavailable>
}

export const finalityOf = (rpc: Rpc, policy: FinalityPolicy, meter: CacheMeter = UNMETERED): Finality => {
  const blocks = new Cache<BlockHeader | undefined, ChainUnavailable>(REMEMBERED, meter)
  const look =
    policy.type === "confirmations"
      ? Effect.flatMap(requireBlock(rpc, "latest"), ({ number }) => requireBlock(rpc, { number: Math.max(0, number - policy.blocks) }))
      : requireBlock(rpc, policy.type)
  const ask = (number: number) => rpc.agreed({ about: "block", ask: rpc.block({ number }), settle: sameBlock })
  /** Under the final block as well, so that what is believed to stand was asked for after it: the other way round a reorganisation in between
   * would make a block final that is gone. */
  const at = (number: number, final: BlockHeader) => blocks.get(`${final.hash} ${number}`, ask(number), (block) => block !== undefined)
  /** Where two have to agree: the lower of what they call final, if it is the same block for both. */
  const lower = rpc.agreed({ about: "head", ask: look, settle: (one, other) => ({ agreed: one.number <= other.number ? one : other }) })
  const settled =
    rpc.witnesses === 1
      ? lower
      : Effect.flatMap(lower, (block) =>
          Effect.flatMap(ask(block.number), (standing) =>
            standing?.hash === block.hash
              ? Effect.succeed(block)
              : Effect.fail(new ChainUnavailable({ doing: "find the newest final block", cause: `no second word for block ${block.number}` }))
          )
        )
  const newest = Effect.map(blocks.get("newest", settled), (block) => block as BlockHeader)
  return {
    newest,
    of: Effect.fnUntraced(function* ({ blockNumber, blockHash }) {
      const final = yield* newest
      const isDeep = final.number >= blockNumber
      if (isDeep && final.hash === blockHash) return "final"
      const standing = yield* at(blockNumber, final)
      // A chain shorter than the block may be a lagging endpoint: that is not yet a "gone".
      if (standing === undefined) return "pending"
      if (standing.hash !== blockHash) return "gone"
      return isDeep ? "final" : "pending"
    })
  }
}
