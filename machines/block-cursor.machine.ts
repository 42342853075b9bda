/** Where the listener stands on the chain, and what it must look at next (reliability.md P10). It is told what was seen and
 * answers with one instruction; it never reads a chain or a clock. A block is only ever stored on top of the block that it
 * names as its parent, and our blocks are settled only up to one whose hash the chain calls final (docs/adr/0030): its number alone
 * says nothing, for our blocks may come from an endpoint that had not noticed that its branch was left. */
import { assign, setup } from "xstate"
import type { Hex } from "../src/domain/hex.ts"
import type { BlockRef } from "../src/domain/outcome.ts"
import { begin, fromInput, walk, type Kept } from "./walk.ts"

export interface LinkedBlock {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
}

/** Of blocks that are not known to be final so many are kept below the newest: a first start far behind the head reads millions of them.
 * Three days of Ethereum, and more than an hour of the fastest chains; a deeper reorganisation stops the listener. */
export const UNSETTLED_BLOCKS_MAX = 20_000

export type CursorEvent =
  /** Answers `watch`: the chain's newest block, the newest that it calls final, and what we have stored at that height. */
  | { readonly type: "head-seen"; readonly head: BlockRef; readonly final: BlockRef; readonly ours: Hex | null }
  /** Answers `read`: what the chain has there, in order; fewer or none when it ends sooner. */
  | { readonly type: "blocks-read"; readonly blocks: ReadonlyArray<LinkedBlock> }
  /** Answers `look`: our stored block and the chain's block at that height; null where there is none. */
  | { readonly type: "looked"; readonly ours: Hex | null; readonly theirs: Hex | null }
  /** Answers `confirm`: so say all who were asked. */
  | { readonly type: "taken-back" }
  /** Answers `advance`: the blocks and their requests are stored. */
  | { readonly type: "advanced" }
  /** Answers `advance`: another listener was faster, and the stored cursor is this one now. */
  | { readonly type: "cursor-moved"; readonly cursor: BlockRef | null }

/** What the listener must do next. When the chain cannot be asked, it does the same again later: every instruction may be
 * repeated. */
export type CursorInstruction =
  | { readonly type: "watch" }
  /** Read these blocks with their requests, both ends included. */
  | { readonly type: "read"; readonly from: number; readonly to: number }
  | { readonly type: "look"; readonly height: number }
  /** One endpoint has another block where ours was final. Ask others too whether another one is final there. */
  | { readonly type: "confirm"; readonly height: number; readonly ours: Hex | null }
  /** Store the first `count` of the blocks just read on top of height `ancestor`, if the stored cursor still is `expected`. */
  | {
      readonly type: "advance"
      readonly expected: Hex | null
      readonly ancestor: number
      readonly count: number
      /** Blocks below this height are final, or too deep to be taken back, and need not be kept. */
      readonly keepFrom: number
    }
  | { readonly type: "stop"; readonly reason: "reorg-below-finalized"; readonly height: number }

export interface CursorStart {
  /** The stored cursor, or null before the first block. */
  readonly cursor: BlockRef | null
  /** The first height that is read at all. */
  readonly startBlock: number
  /** Most blocks in one `read`: bounds memory and the transaction that stores them. */
  readonly batchBlocksMax: number
}

export interface BlockCursorContext extends CursorStart {
  /** What the next block must name as its parent: the cursor, or the common ancestor after a reorganisation. Null: any. */
  readonly base: BlockRef | null
  /** The newest height worth reading, as far as we know. */
  readonly head: number
  /** What the chain last called final; ours or not. */
  readonly final: BlockRef | null
  /** Our blocks up to here are final: the chain has named one of them by its hash. */
  readonly settled: number
  /** The height being compared while rewinding. */
  readonly height: number
  /** The lowest block of ours that was compared while rewinding and that the chain does not have. */
  readonly doubted: BlockRef | null
  /** Blocks that were read, fit, and are being stored, and up to where they make ours final. */
  readonly storing: { readonly last: BlockRef; readonly count: number; readonly settled: number } | null
}

export type BlockCursorState = "choosing" | "following" | "catching-up" | "rewinding" | "doubting" | "stopped"
export type BlockCursorSnapshot = Kept<BlockCursorState, BlockCursorContext>

export interface CursorStep {
  readonly snapshot: BlockCursorSnapshot
  readonly instruction: CursorInstruction
}

export const openCursor = (start: CursorStart): CursorStep => answer(begin(blockCursorMachine, start).kept)

export const nextCursor = (snapshot: BlockCursorSnapshot, event: CursorEvent): CursorStep =>
  answer(walk(blockCursorMachine, snapshot, event).kept)

const answer = (snapshot: BlockCursorSnapshot): CursorStep => ({ snapshot, instruction: instructionOf(snapshot) })

/** What is to be done follows from where the cursor stands, so it need not be remembered and an ignored event repeats it. */
export const instructionOf = ({ value, context }: BlockCursorSnapshot): CursorInstruction => {
  if (value === "rewinding") return { type: "look", height: context.height }
  const { doubted } = context
  if (value === "doubting") return { type: "confirm", height: doubted?.blockNumber ?? context.height, ours: doubted?.blockHash ?? null }
  if (value === "stopped") return { type: "stop", reason: "reorg-below-finalized", height: doubted?.blockNumber ?? context.height }
  const from = nextHeight(context)
  if (context.storing !== null) {
    return {
      type: "advance",
      expected: context.cursor?.blockHash ?? null,
      ancestor: from - 1,
      count: context.storing.count,
      keepFrom: Math.max(0, context.storing.settled, context.storing.last.blockNumber - UNSETTLED_BLOCKS_MAX)
    }
  }
  if (from > context.head) return { type: "watch" }
  return { type: "read", from, to: Math.min(context.head, from + context.batchBlocksMax - 1) }
}

const nextHeight = ({ base, startBlock }: BlockCursorContext): number => (base === null ? startBlock : base.blockNumber + 1)

/** The blocks at the front that continue the chain of `base`; a reorganisation in the middle of reading leaves a shorter run. */
const linkedRun = (context: BlockCursorContext, event: CursorEvent): ReadonlyArray<LinkedBlock> => {
  if (event.type !== "blocks-read") return []
  let parent = context.base?.blockHash
  let number = nextHeight(context)
  const broken = event.blocks.findIndex((block) => {
    const isNext = block.number === number && (parent === undefined || block.parentHash === parent)
    parent = block.hash
    number += 1
    return !isNext
  })
  return broken === -1 ? event.blocks : event.blocks.slice(0, broken)
}

/** Only of what `base` stands on: above it are blocks that we have given up. */
const isFinalOurs = ({ base, settled }: BlockCursorContext, { final, ours }: Extract<CursorEvent, { type: "head-seen" }>): boolean =>
  base !== null && final.blockNumber <= base.blockNumber && final.blockNumber > settled && final.blockHash === ours

const isCommon = (event: CursorEvent): boolean => event.type === "looked" && event.ours !== null && event.ours === event.theirs

/** What following and catching up have in common: they differ only in how far the head is away. */
const READING = {
  "head-seen": [
    { guard: "isOtherBlockAtBase", target: "rewinding", actions: ["see", "suspectBase"] },
    { target: "choosing", actions: "see" }
  ],
  "blocks-read": [
    { guard: "isNothing", target: "following", actions: "forgetHead" },
    { guard: "isElsewhere", target: "rewinding", actions: "suspectBase" },
    { actions: "prepare" }
  ],
  advanced: { target: "choosing", actions: "settle" },
  "cursor-moved": { target: "choosing", actions: "adopt" },
  looked: {},
  "taken-back": {}
} as const

export const blockCursorMachine = setup({
  types: {} as { context: BlockCursorContext; events: CursorEvent; input: CursorStart },
  actions: {
    see: assign(({ context, event }) =>
      event.type === "head-seen"
        ? { head: event.head.blockNumber, final: event.final, settled: isFinalOurs(context, event) ? event.final.blockNumber : context.settled }
        : {}
    ),
    forgetHead: assign(({ context }) => ({ head: nextHeight(context) - 1 })),
    suspectBase: assign(({ context }) => ({ height: nextHeight(context) - 1, storing: null, doubted: null })),
    prepare: assign(({ context, event }) => {
      const run = linkedRun(context, event)
      const last = run.at(-1)
      if (last === undefined) return {}
      const final = run.find(({ number, hash }) => number === context.final?.blockNumber && hash === context.final.blockHash)
      const settled = Math.max(context.settled, final?.number ?? -1)
      return { storing: { last: { blockNumber: last.number, blockHash: last.hash }, count: run.length, settled } }
    }),
    settle: assign(({ context }) => {
      if (context.storing === null) return {}
      const { last, settled } = context.storing
      return { cursor: last, base: last, storing: null, settled }
    }),
    adopt: assign(({ event }) =>
      event.type === "cursor-moved" ? { cursor: event.cursor, base: event.cursor, storing: null } : {}
    ),
    lookLower: assign(({ context }) => ({ height: context.height - 1 })),
    doubt: assign(({ context, event }) =>
      event.type === "looked" && event.ours !== null ? { doubted: { blockNumber: context.height, blockHash: event.ours } } : {}
    ),
    standHere: assign(({ context, event }) => ({
      base: event.type === "looked" && event.ours !== null ? { blockNumber: context.height, blockHash: event.ours } : null
    }))
  },
  guards: {
    isOtherBlockAtBase: ({ context: { base }, event }) =>
      event.type === "head-seen" && event.head.blockNumber === base?.blockNumber && event.head.blockHash !== base.blockHash,
    isNothing: ({ event }) => event.type === "blocks-read" && event.blocks.length === 0,
    isElsewhere: ({ context, event }) => linkedRun(context, event).length === 0,
    isFarBehind: ({ context }) => context.head - nextHeight(context) >= context.batchBlocksMax,
    isCommon: ({ event }) => isCommon(event),
    isCommonAtBase: ({ context, event }) => isCommon(event) && context.height === context.base?.blockNumber,
    isBeforeStart: ({ context }) => context.height < context.startBlock,
    isFinalForUs: ({ context, event }) => event.type === "looked" && (event.ours === null || context.height <= context.settled)
  }
}).createMachine({
  id: "block-cursor",
  description: "The listener's place on the chain.",
  context: fromInput((input: CursorStart) => ({
    ...input,
    base: input.cursor,
    head: input.startBlock - 1,
    final: null,
    settled: -1,
    height: -1,
    doubted: null,
    storing: null
  })),
  initial: "following",
  states: {
    choosing: {
      description: "Passing: weighs how far the head is away.",
      always: [{ guard: "isFarBehind", target: "catching-up" }, { target: "following" }]
    },
    following: {
      description: "At most one batch behind the head. Reads each new block and waits for the next.",
      on: READING
    },
    "catching-up": {
      description: "More than one batch behind the head, after a first start or a stay away. Reads batch after batch.",
      on: READING
    },
    rewinding: {
      description:
        "A block does not continue ours: the chain was reorganised. Compares block by block downwards until both agree.",
      on: {
        looked: [
          // Two endpoints disagree about the tip, or it changed back: wait for the next head instead of turning in circles.
          { guard: "isCommonAtBase", target: "following", actions: "forgetHead" },
          { guard: "isCommon", target: "choosing", actions: "standHere" },
          { guard: "isBeforeStart", target: "choosing", actions: "standHere" },
          { guard: "isFinalForUs", target: "doubting", actions: "doubt" },
          { target: "rewinding", actions: ["doubt", "lookLower"] }
        ],
        "cursor-moved": { target: "choosing", actions: "adopt" },
        "taken-back": {},
        "head-seen": {},
        "blocks-read": {},
        advanced: {}
      }
    },
    doubting: {
      description:
        "Where our block was final, one endpoint has another or none. It may be late, or on a branch that was left: others are asked, " +
        "and as long as they do not agree that another block is final there, nothing is believed.",
      on: {
        "taken-back": { target: "stopped" },
        "cursor-moved": { target: "choosing", actions: "adopt" },
        looked: {},
        "head-seen": {},
        "blocks-read": {},
        advanced: {}
      }
    },
    stopped: {
      description:
        "The chain took back a block that it had called final. What was read can no longer be trusted by itself: an " +
        "operator must find out which chain is right and then start the listener again.",
      type: "final",
      on: { "head-seen": {}, "blocks-read": {}, looked: {}, "taken-back": {}, advanced: {}, "cursor-moved": {} }
    }
  }
})
