/**
 * Reads the newest final blocks again, slowly, and bears what the listener has missed (reliability.md P10): an endpoint whose index
 * lagged, or that left logs out, has no second chance otherwise. Several of these are harmless: what is known is no news.
 */
import { Duration, Effect, Random } from "effect"
import { rereadBlocks } from "../src/journey/1-detected/reread-blocks.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../src/journey/1-detected/request-log.port.ts"
import { DetectionLedger } from "../src/ledger/detection-ledger.port.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { announceBorn, requestsIn } from "./1-detected.actor.ts"
import { supervise } from "./runtime/supervise.ts"

export interface RescanOptions {
  readonly worker: string
  /** Nothing of interest happened before this block. */
  readonly startBlock: number
  /** How many of the newest final blocks are read again in each pass. */
  readonly blocks: number
  /** From the end of one pass to the beginning of the next. */
  readonly everyMs: number
}

/** Blocks read at the same time, and the pause after them: far below what the listener itself asks of an endpoint. */
const AT_ONCE = 8
const PAUSE_MS = 100

export const rescanActor = Effect.fnUntraced(function* (options: RescanOptions) {
  /** The newest block of the pass before, to notice when passes are too far apart. */
  let reached: number | undefined
  const pass = Effect.gen(function* () {
    // Jittered, so that many gateways do not read in step; first the pause, for after a start there is more urgent work.
    yield* Effect.sleep(Duration.millis(options.everyMs * (0.9 + 0.2 * (yield* Random.next))))
    reached = (yield* rescan(options, reached)) ?? reached
  })
  yield* supervise("rescan", pass)
})

/** One pass; answers the newest block that was read, or undefined when none is final yet. */
export const rescan = Effect.fnUntraced(function* ({ worker, startBlock, blocks }: Omit<RescanOptions, "everyMs">, reached: number | undefined) {
  const log = yield* RequestLog
  const ledger = yield* DetectionLedger
  const telemetry = yield* Telemetry
  const [cursor, finalized] = yield* Effect.all([ledger.cursor(log.chainId), log.finalized])
  const top = cursor && (yield* ledger.blockAt(log.chainId, Math.min(cursor.number, finalized.number)))
  if (top === undefined) return undefined
  if (top.number === finalized.number && top.hash !== finalized.hash) {
    return yield* new ChainUnavailable({ doing: "read blocks again", cause: "the final block is not ours" })
  }
  const bottom = Math.max(startBlock, top.number - blocks + 1)
  if (reached !== undefined && reached + 1 < bottom) {
    telemetry.warn("the re-scan leaves blocks out", { from: reached + 1, to: bottom - 1, runbook: RUNBOOK })
  }
  let next: { readonly number: number; readonly hash: typeof top.hash } = top
  while (next.number >= bottom) {
    const read: ReadonlyArray<ReadBlock> = yield* rereadBlocks(next.number, next.hash, Math.min(AT_ONCE, next.number - bottom + 1))
    yield* bearMissed(top, read, worker)
    const last = read.at(-1)
    if (last === undefined) break
    next = { number: last.number - 1, hash: last.parentHash }
    yield* Effect.sleep(Duration.millis(PAUSE_MS))
  }
  telemetry.gauge("rescanned_block", top.number)
  return top.number
})

const RUNBOOK = "docs/runbooks/detected.md"

const bearMissed = Effect.fnUntraced(function* (
  on: { readonly number: number; readonly hash: ReadBlock["hash"] },
  blocks: ReadonlyArray<ReadBlock>,
  worker: string
) {
  const { chainId } = yield* RequestLog
  const ledger = yield* DetectionLedger
  const telemetry = yield* Telemetry
  const requests = blocks.flatMap(requestsIn)
  if (requests.length === 0) return
  const { born, signalled } = yield* ledger.birthMissed({ chainId, on, requests, worker })
  const found = born.length + signalled.length
  if (found === 0) return
  telemetry.count("rescan_found", found)
  telemetry.warn("the re-scan found requests that were missed", {
    missed: born.length,
    misplaced: signalled.length,
    from: blocks.at(-1)!.number,
    to: blocks[0]!.number,
    runbook: RUNBOOK
  })
  yield* announceBorn(born, blocks)
})
