/** Final blocks once more, by another endpoint than usual where there is one: only those that lead up to a block of our own count. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "./request-log.port.ts"

/** The blocks up to `number` and so many in all, newest first; fewer where the chain begins. `hash` is what stands there for us. */
export const rereadBlocks = Effect.fnUntraced(function* (number: number, hash: Hex, count: number) {
  const log = yield* RequestLog
  const heights = Array.from({ length: Math.min(count, number + 1) }, (_, index) => number - index)
  const blocks = yield* Effect.forEach(heights, log.readElsewhere, { concurrency: "unbounded" })
  const linked: Array<ReadBlock> = []
  let expected = hash
  for (const block of blocks) {
    if (block?.hash !== expected) {
      return yield* new ChainUnavailable({ doing: "read blocks again", cause: "an endpoint has other final blocks than ours, or none" })
    }
    linked.push(block)
    expected = block.parentHash
  }
  return linked
})
