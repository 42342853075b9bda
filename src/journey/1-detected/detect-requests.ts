/** The way to `detected`: what the listener can learn about a stretch of the chain, in the words of the block cursor. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "./request-log.port.ts"

/** Blocks read at the same time: each is one to three calls. */
const BLOCKS_AT_ONCE = 8

/** The blocks from..to with their requests, in order; fewer when the chain ends sooner. */
export const readBlocks = Effect.fnUntraced(function* (from: number, to: number) {
  const log = yield* RequestLog
  const heights = Array.from({ length: to - from + 1 }, (_, index) => from + index)
  const read = yield* Effect.forEach(heights, log.readBlock, { concurrency: BLOCKS_AT_ONCE })
  const gap = read.indexOf(undefined)
  return (gap === -1 ? read : read.slice(0, gap)) as ReadonlyArray<ReadBlock>
})

export const seeHead = Effect.gen(function* () {
  const log = yield* RequestLog
  const [head, finalized] = yield* Effect.all([log.latest, log.finalized], { concurrency: "unbounded" })
  return { head, finalized }
})

/** Whether the chain took back a final block of ours. One endpoint's word is not enough, and that it has no block there is no word at all:
 * as long as not all who are asked call another block final, nothing is known. */
export const confirmTakenBack = Effect.fnUntraced(function* (height: number, ours: Hex) {
  const log = yield* RequestLog
  const words = yield* log.finalAt(height)
  if (words.length > 0 && words.every((word) => word !== undefined && word.hash !== ours)) return
  return yield* new ChainUnavailable({ doing: "compare final blocks", cause: `endpoints do not agree about final block ${height}` })
})
