/** Which blocks are final enough under an operator's policy. What the chain says is remembered for a moment: many requests ask at once, and
 * those that wait for finality ask about the same few blocks again and again. */
import { Effect } from "effect"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import type { BlockRef } from "../../domain/outcome.ts"
import { type CacheBounds, Cache } from "../../resilience/cache.ts"
import { type CacheMeter, UNMETERED } from "../../resilience/cache-meter.ts"
import type { Disagreement } from "../../telemetry/chain-endpoints.port.ts"
import { requireBlock, sameBlock, type BlockHeader, type Rpc } from "./rpc.ts"

/** Far below any block time: nobody waits longer because of it. As many heights as a herd of requests stands in. */
const REMEMBERED: CacheBounds = { ageMsMax: 50, entriesMax: 1_024 }

export interface Finality {
  /** The newest block that is final enough: where questions are asked. */
  readonly newest: Effect.Effect<BlockHeader, ChainUnavailable>
  readonly of: (block: BlockRef) => Effect.Effect<"final" | "pending" | "gone", ChainUnavailable>
}

/** Where two have to agree: the lower of what they call final, if it is the same block for both. */
export const lowerOfTwo = (rpc: Rpc, about: Disagreement, look: Effect.Effect<BlockHeader, ChainUnavailable>) => {
  const lower = rpc.agreed({ about, ask: look, settle: (one, other) => ({ agreed: one.number <= other.number ? one : other }) })
  if (rpc.witnesses === 1) return lower
  return Effect.flatMap(lower, (block) =>
    Effect.flatMap(standingAt(rpc, block.number), (standing) =>
      standing?.hash === block.hash
        ? Effect.succeed(block)
        : Effect.fail(new ChainUnavailable({ doing: "find the newest final block", cause: `no second word for block ${block.number}` }))
    )
  )
}

const standingAt = (rpc: Rpc, number: number) => rpc.agreed({ about: "block", ask: rpc.block({ number }), settle: sameBlock })

/** What stands at a height, from an endpoint that has the final block by its hash. Another one's number proves nothing: whoever has not noticed
 * that its branch was left would make a block of that branch final. */
const standingUnder = (rpc: Rpc, number: number, final: BlockHeader) => {
  if (number > final.number) return standingAt(rpc, number)
  const both = Effect.all([rpc.block({ number }), rpc.block({ number: final.number })], { concurrency: "unbounded" })
  const ask = Effect.flatMap(both, ([block, same]) =>
    same?.hash === final.hash
      ? Effect.succeed(block)
      : Effect.fail(new ChainUnavailable({ doing: `see whether block ${number} is final`, cause: "this endpoint does not have the final block" }))
  )
  return rpc.agreed({ about: "block", ask, settle: sameBlock })
}

export const finalityOf = (rpc: Rpc, policy: FinalityPolicy, meter: CacheMeter = UNMETERED): Finality => {
  const blocks = new Cache<BlockHeader | undefined, ChainUnavailable>(REMEMBERED, meter)
  const look =
    policy.type === "confirmations"
      ? Effect.flatMap(requireBlock(rpc, "latest"), ({ number }) => requireBlock(rpc, { number: Math.max(0, number - policy.blocks) }))
      : requireBlock(rpc, policy.type)
  /** Under the final block as well, so that what is believed to stand was asked for after it: the other way round a reorganisation in between
   * would make a block final that is gone. */
  const at = (number: number, final: BlockHeader) =>
    blocks.get(`${final.hash} ${number}`, standingUnder(rpc, number, final), (block) => block !== undefined)
  const newest = Effect.map(blocks.get("newest", lowerOfTwo(rpc, "head", look)), (block) => block as BlockHeader)
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
