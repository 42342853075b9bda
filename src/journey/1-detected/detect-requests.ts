/** The way to `detected`: what the listener can learn about a stretch of the chain, in the words of the block cursor. */
import { Effect } from "effect"
import { RequestLog, type ReadBlock } from "./request-log.port.ts"

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
  const [head, finalized] = yield* Effect.all([log.latest, log.finalizedNumber], { concurrency: "unbounded" })
  return { head, finalized }
})
