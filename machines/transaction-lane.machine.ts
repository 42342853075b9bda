/** The life of one nonce of a sending account (reliability.md P12): signed bytes are stored before anyone sees them, any attempt
 * at the nonce may be the one that is mined, and the nonce serves one batch for ever. Times are told, never read. */
import { assign, setup } from "xstate"
import type { Hex } from "../src/domain/hex.ts"
import type { BlockRef } from "../src/domain/outcome.ts"
import { begin, fromInput, named, walk, type Kept, type Walked } from "./walk.ts"

/** Each event but `foreign` says when it was seen, in milliseconds of one clock. */
export type SlotEvent =
  /** Time went on, or the sender has just started: what is due? */
  | { readonly type: "tick"; readonly now: number }
  /** Answers `broadcast`. */
  | { readonly type: "accepted"; readonly now: number }
  | { readonly type: "underpriced"; readonly now: number }
  | { readonly type: "nonce-used"; readonly now: number }
  /** Answers `sign`: the replacement's bytes are stored; or it could not be made now. */
  | { readonly type: "replaced"; readonly attemptNo: number; readonly txHash: Hex; readonly now: number }
  | { readonly type: "not-replaced"; readonly now: number }
  /** Answers `find-receipt`, which looks for every attempt. `isNonceUsed`: the chain's next nonce is above ours at the newest block;
   * `isNonceFinal`: also at the newest final one. */
  | { readonly type: "mined"; readonly txHash: Hex; readonly block: BlockRef; readonly isSuccess: boolean; readonly now: number }
  | { readonly type: "not-mined"; readonly isNonceUsed: boolean; readonly isNonceFinal?: boolean; readonly now: number }
  /** Answers `check-finality`. */
  | { readonly type: "final"; readonly now: number }
  | { readonly type: "pending"; readonly now: number }
  | { readonly type: "reorged"; readonly now: number }
  /** Proof that bytes which are not ours stand at this nonce in a final block. */
  | { readonly type: "foreign" }

export type SlotEffect =
  | { readonly type: "broadcast"; readonly attemptNo: number }
  /** Sign the same batch at the same nonce with higher fees and store it as this attempt. */
  | { readonly type: "sign"; readonly attemptNo: number }
  | { readonly type: "find-receipt" }
  | { readonly type: "check-finality"; readonly block: BlockRef }
  /** The nonce went to somebody else: the batch needs another one. */
  | { readonly type: "requeue"; readonly root: Hex }
  /** The transaction failed for good: somebody looks at the requests in it again. */
  | { readonly type: "inspect"; readonly root: Hex }

/** Provisional until measured on a public chain; in milliseconds except where named otherwise. */
export const LANE_PATIENCE = {
  /** Two slots of 12 s: a transaction that was not taken by then pays too little. */
  bumpAfterMs: 24_000,
  /** A node may have dropped it: the same bytes cost nothing. */
  rebroadcastAfterMs: 6_000,
  /** A nonce that is used in a final block without a receipt of ours: endpoints may lag this long before we believe that it is lost. */
  foreignAfterMs: 120_000,
  /** 12.5 % each time: the tenth pays about three times the first. */
  attemptsMax: 10
} as const

export type LanePatience = { readonly [K in keyof typeof LANE_PATIENCE]: number }

export interface SlotStart {
  readonly nonce: number
  readonly root: Hex
  /** The first attempt, stored together with this slot. */
  readonly txHash: Hex
  readonly now: number
  readonly patience?: LanePatience
}

export interface TransactionLaneContext {
  readonly nonce: number
  readonly root: Hex
  readonly patience: LanePatience
  /** Hashes of all attempts; the number of an attempt is its place, from 0. */
  readonly attempts: ReadonlyArray<Hex>
  /** The attempt that is broadcast now: the newest, or after a reorganisation the one that had been mined. */
  readonly current: number
  /** When the newest attempt was made, or sent again after a reorganisation. */
  readonly waitingSinceMs: number
  readonly lastBroadcastMs: number
  readonly nonceUsedSinceMs: number | null
  readonly mined: { readonly txHash: Hex; readonly block: BlockRef; readonly isSuccess: boolean } | null
}

export type TransactionLaneState = "signed" | "broadcast" | "bumping" | "searching" | "mined" | "final" | "failed" | "lost"
export type TransactionLaneSnapshot = Kept<TransactionLaneState, TransactionLaneContext>

export interface SlotStep {
  readonly snapshot: TransactionLaneSnapshot
  /** At most one thing to do; null: wait for the next tick. */
  readonly effect: SlotEffect | null
  /** True when the slot's nonce is settled for ever. */
  readonly isFinal: boolean
}

export const openSlot = (start: SlotStart): SlotStep => step(begin(transactionLaneMachine, start))

export const nextSlot = (snapshot: TransactionLaneSnapshot, event: SlotEvent): SlotStep =>
  step(walk(transactionLaneMachine, snapshot, event))

const ENDED: ReadonlySet<TransactionLaneState> = new Set(["final", "failed", "lost"])

const step = ({ kept, effects }: Walked<typeof transactionLaneMachine>): SlotStep => {
  const found = effects.at(-1)
  return {
    snapshot: kept,
    effect: found === undefined ? null : ({ type: found.type, ...(found.params as object) } as SlotEffect),
    isFinal: ENDED.has(kept.value)
  }
}

type Told = { readonly context: TransactionLaneContext; readonly event: SlotEvent }

/** Also when the earlier time lies that far ahead: a clock was wrong or was set back, and nobody should wait until it has caught up. */
export const hasPassed = (ms: number, sinceMs: number, nowMs: number): boolean => Math.abs(nowMs - sinceMs) >= ms

const nowOf = (event: SlotEvent): number => ("now" in event ? event.now : 0)

const BROADCAST = { type: "broadcast", params: ({ context }: Told) => ({ attemptNo: context.current }) } as const
const SIGN = { type: "sign", params: ({ context }: Told) => ({ attemptNo: context.attempts.length }) } as const
const FIND = { type: "find-receipt", params: {} } as const
const CHECK = { type: "check-finality", params: ({ context }: Told) => ({ block: context.mined?.block }) } as const
const IGNORED = {} as const

/** A receipt of any attempt settles where we are, whatever we were doing. */
const FOUND = [
  { guard: "isOurs", target: "mined", reenter: true, actions: "keepReceipt" },
  IGNORED
] as const

const UNSETTLED = {
  mined: FOUND,
  "not-mined": IGNORED,
  accepted: IGNORED,
  underpriced: IGNORED,
  "nonce-used": { target: "searching", actions: "noteNonceUsed" },
  replaced: IGNORED,
  "not-replaced": IGNORED,
  final: IGNORED,
  pending: IGNORED,
  reorged: IGNORED,
  foreign: { target: "lost" }
} as const

const SETTLED = { ...UNSETTLED, tick: IGNORED, mined: IGNORED, "nonce-used": IGNORED, foreign: IGNORED } as const

export const transactionLaneMachine = setup({
  types: {} as { context: TransactionLaneContext; events: SlotEvent; input: SlotStart },
  actions: {
    broadcast: named<{ readonly attemptNo: number }>(),
    sign: named<{ readonly attemptNo: number }>(),
    "find-receipt": named<object>(),
    "check-finality": named<{ readonly block: BlockRef | undefined }>(),
    requeue: named<{ readonly root: Hex }>(),
    inspect: named<{ readonly root: Hex }>(),
    noteBroadcast: assign(({ event }) => ({ lastBroadcastMs: nowOf(event) })),
    noteNonceUsed: assign(({ event }) => ({ nonceUsedSinceMs: nowOf(event) })),
    noteNonceFree: assign({ nonceUsedSinceMs: null }),
    waitAnew: assign(({ event }) => ({ waitingSinceMs: nowOf(event) })),
    addAttempt: assign(({ context, event }) =>
      event.type === "replaced"
        ? { attempts: [...context.attempts, event.txHash], current: event.attemptNo, waitingSinceMs: event.now }
        : {}
    ),
    keepReceipt: assign(({ event }) =>
      event.type === "mined"
        ? { mined: { txHash: event.txHash, block: event.block, isSuccess: event.isSuccess }, nonceUsedSinceMs: null }
        : {}
    ),
    /** The same bytes first: they were good enough once. A higher fee follows when that does not help. */
    returnToPool: assign(({ context, event }) => ({
      current: Math.max(0, context.attempts.indexOf(context.mined?.txHash ?? "0x")),
      mined: null,
      waitingSinceMs: nowOf(event)
    }))
  },
  guards: {
    isOurs: ({ context, event }) => event.type === "mined" && context.attempts.includes(event.txHash),
    isNextAttempt: ({ context, event }) => event.type === "replaced" && event.attemptNo === context.attempts.length,
    isStuck: ({ context, event }) =>
      hasPassed(context.patience.bumpAfterMs, context.waitingSinceMs, nowOf(event)) &&
      context.attempts.length < context.patience.attemptsMax,
    mayBump: ({ context }) => context.attempts.length < context.patience.attemptsMax,
    isQuiet: ({ context, event }) => hasPassed(context.patience.rebroadcastAfterMs, context.lastBroadcastMs, nowOf(event)),
    isNonceUsed: ({ event }) => event.type === "not-mined" && event.isNonceUsed,
    isGivenUp: ({ context, event }) =>
      event.type === "not-mined" &&
      event.isNonceUsed &&
      event.isNonceFinal === true &&
      context.nonceUsedSinceMs !== null &&
      hasPassed(context.patience.foreignAfterMs, context.nonceUsedSinceMs, event.now),
    isSuccess: ({ context }) => context.mined?.isSuccess === true
  }
}).createMachine({
  id: "transaction-lane",
  description: "One nonce of one sending account, and the one batch of results that it carries.",
  context: fromInput((input: SlotStart) => ({
    nonce: input.nonce,
    root: input.root,
    patience: input.patience ?? LANE_PATIENCE,
    attempts: [input.txHash],
    current: 0,
    waitingSinceMs: input.now,
    lastBroadcastMs: input.now,
    nonceUsedSinceMs: null,
    mined: null
  })),
  initial: "signed",
  states: {
    signed: {
      description:
        "Signed bytes are stored, and nobody may have seen them yet. They are broadcast; a crash here broadcasts the same " +
        "bytes again.",
      entry: BROADCAST,
      on: {
        ...UNSETTLED,
        tick: [
          { guard: "isQuiet", actions: ["noteBroadcast", BROADCAST] }, // also the first look after a crash: the same bytes, whatever the time
          // No endpoint takes these bytes: a wrong estimate, a cap. The nonce gets new ones, for nothing above it can be mined.
          { guard: "isStuck", target: "bumping" },
          { actions: BROADCAST }
        ],
        accepted: { target: "broadcast", actions: "noteBroadcast" },
        underpriced: [{ guard: "mayBump", target: "bumping" }, { target: "broadcast", actions: "noteBroadcast" }]
      }
    },
    broadcast: {
      description:
        "In the mempool, as far as anybody said. Receipts of every attempt are looked for; the same bytes are sent again " +
        "now and then.",
      on: {
        ...UNSETTLED,
        tick: { actions: FIND },
        accepted: { actions: "noteBroadcast" },
        underpriced: [{ guard: "mayBump", target: "bumping" }, { actions: "noteBroadcast" }],
        "not-mined": [
          { guard: "isNonceUsed", target: "searching", actions: "noteNonceUsed" },
          { guard: "isStuck", target: "bumping" },
          { guard: "isQuiet", actions: ["noteBroadcast", BROADCAST] },
          IGNORED
        ]
      }
    },
    bumping: {
      description: "Stuck: the same batch is being signed again at the same nonce with higher fees.",
      entry: SIGN,
      on: {
        ...UNSETTLED,
        tick: { actions: SIGN },
        replaced: [{ guard: "isNextAttempt", target: "signed", actions: "addAttempt" }, IGNORED],
        // The old bytes may have been dropped meanwhile.
        "not-replaced": { target: "broadcast", actions: ["waitAnew", "noteBroadcast", BROADCAST] }
      }
    },
    searching: {
      description:
        "The chain says that the nonce is used, and no receipt of ours has been seen yet: most likely an endpoint lags " +
        "behind. It is given up only when the nonce is used in a final block.",
      entry: FIND,
      on: {
        ...UNSETTLED,
        tick: { actions: FIND },
        "nonce-used": IGNORED,
        "not-mined": [
          { guard: "isGivenUp", target: "lost" },
          { guard: "isNonceUsed" },
          { target: "broadcast", actions: ["noteNonceFree", "noteBroadcast", BROADCAST] }
        ]
      }
    },
    mined: {
      description: "One of our attempts stands in a block that may still be reorganised away.",
      entry: CHECK,
      on: {
        ...UNSETTLED,
        tick: { actions: CHECK },
        "nonce-used": IGNORED,
        final: [{ guard: "isSuccess", target: "final" }, { target: "failed" }],
        reorged: { target: "broadcast", actions: ["returnToPool", "noteBroadcast", BROADCAST] }
      }
    },
    final: {
      description: "Mined in a final block. The nonce is spent well.",
      type: "final",
      on: SETTLED
    },
    failed: {
      description: "Mined in a final block, but it reverted. The requests of its batch are looked at again.",
      type: "final",
      entry: { type: "inspect", params: ({ context }) => ({ root: context.root }) },
      on: SETTLED
    },
    lost: {
      description:
        "Bytes that are not ours used the nonce: somebody else holds the key, or the database lost rows. The batch goes " +
        "back to the queue.",
      type: "final",
      entry: { type: "requeue", params: ({ context }) => ({ root: context.root }) },
      on: SETTLED
    }
  }
})
