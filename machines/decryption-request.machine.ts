/** The journey of one decryption request: which fact may follow which, and how a request ends. It decides and does nothing else:
 * no I/O, no clock, no randomness, no secrets in its context. Every state answers every event, if only by saying that it is
 * ignored. */
import { assign, setup } from "xstate"
import type { NodeId } from "../src/domain/committee.ts"
import type { Hex } from "../src/domain/hex.ts"
import type { Milestone } from "../src/domain/journey.ts"
import type { BlockRef, RequestEvent } from "../src/domain/outcome.ts"
import type { Anchor } from "../src/domain/request.ts"
import { fromInput, named } from "./walk.ts"

/** What has been established, each fact with the evidence it rests on; and, at an end, why. */
export interface Known {
  readonly aclBlock?: BlockRef
  readonly digests?: ReadonlyArray<Hex>
  /** Nodes whose shares are held; after verification those that count. */
  readonly nodes?: ReadonlyArray<NodeId>
  readonly liars?: ReadonlyArray<NodeId>
  readonly root?: Hex
  readonly resultHash?: Hex
  readonly submission?: { readonly txHash: Hex; readonly block: BlockRef }
  readonly end?: { readonly reason: string; readonly detail: string }
}

/** Public: it stands in the database and on operators' screens. `assign` merges, so what a move must forget is kept under one
 * key. */
export interface DecryptionRequestContext {
  readonly anchor: Anchor
  readonly known: Known
}

const isSameBlock = (a: BlockRef, b: BlockRef): boolean => a.blockHash === b.blockHash && a.blockNumber === b.blockNumber

const withoutEnd = ({ end: _end, ...facts }: Known): Known => facts

/** What is known after an event that was accepted. */
const learn = (known: Known, event: RequestEvent): Known => {
  switch (event.type) {
    case "acl-checked":
      return { ...known, aclBlock: event.block }
    case "ciphertext-fetched":
      return { ...known, digests: event.digests }
    case "shares-collected":
      return { ...known, nodes: event.nodes }
    case "threshold-verified":
      return { ...known, root: event.root, resultHash: event.resultHash, nodes: event.nodes, liars: event.liars }
    case "submitted":
    case "finalized":
      return { ...known, submission: { txHash: event.txHash, block: event.block } }
    case "refused":
    case "halted":
      return { ...known, end: { reason: event.reason, detail: event.detail } }
    case "expired":
      return { ...known, end: { reason: "expired", detail: event.detail } }
    case "orphaned":
      return { ...known, end: { reason: "orphaned", detail: `block ${event.block.blockNumber} left the chain` } }
    case "cancelled":
      return { ...known, end: { reason: `cancelled by ${event.by}`, detail: event.why } }
    case "result-lost": {
      const { root: _root, resultHash: _hash, liars: _liars, ...held } = known
      return held
    }
    case "moved":
      return {} // nothing that was learned at the old place counts at the new one
    case "redriven":
      return withoutEnd(known)
  }
}

const IGNORED = {} as const

const EVERY_FACT_IGNORED = {
  "acl-checked": IGNORED,
  "ciphertext-fetched": IGNORED,
  "shares-collected": IGNORED,
  "threshold-verified": IGNORED,
  submitted: IGNORED,
  finalized: IGNORED,
  redriven: IGNORED
} as const

const END_IS_FOR_EVER = {
  ...EVERY_FACT_IGNORED,
  refused: IGNORED,
  expired: IGNORED,
  halted: IGNORED,
  orphaned: IGNORED,
  moved: IGNORED,
  cancelled: IGNORED,
  "result-lost": IGNORED
} as const

/** Nothing counts that was learned at another place. */
const LEFT_THE_CHAIN = {
  orphaned: [{ guard: "isOurBlock", target: "orphaned", actions: "remember" }, IGNORED],
  moved: [{ guard: "isElsewhere", target: "detected", reenter: true, actions: "remember" }, IGNORED]
} as const

/** What may happen wherever a request is under way. */
const UNDER_WAY = {
  ...EVERY_FACT_IGNORED,
  refused: { target: "refused", actions: "remember" },
  expired: { target: "expired", actions: "remember" },
  halted: { target: "halted", actions: "remember" },
  "result-lost": IGNORED,
  ...LEFT_THE_CHAIN
} as const

/** Nothing of ours can be on its way to the chain, so a request may be given up; and if a step finds it fulfilled there already
 * (by another gateway, or by us before a reorganisation moved it), that fact stands in the place of those between. */
const STILL_OURS = {
  ...UNDER_WAY,
  submitted: { target: "submitted", actions: "remember" },
  cancelled: { target: "cancelled", actions: "remember" }
} as const

/** The effect of entering a milestone: the work that leads to the next fact is given out. */
const dispatch = <M extends Milestone>(reached: M) => ({ type: "dispatch", params: { reached } }) as const

export const decryptionRequestMachine = setup({
  types: {} as { context: DecryptionRequestContext; events: RequestEvent; input: { readonly anchor: Anchor } },
  actions: {
    remember: assign(({ context, event }) => ({
      anchor: event.type === "moved" ? event.anchor : context.anchor,
      known: learn(context.known, event)
    })),
    /** Read by `decide`; carried out by the coordinator once the decision is saved. */
    dispatch: named<{ readonly reached: Milestone }>()
  },
  guards: {
    isOurBlock: ({ context, event }) => event.type === "orphaned" && event.block.blockHash === context.anchor.blockHash,
    // A block's hash fixes the place of every log in it.
    isElsewhere: ({ context, event }) => event.type === "moved" && !isSameBlock(event.anchor, context.anchor),
    isAnotherPlace: ({ context, event }) =>
      event.type === "submitted" &&
      (event.txHash !== context.known.submission?.txHash || !isSameBlock(event.block, context.known.submission.block)),
    wasSubmitted: ({ context }) => context.known.submission !== undefined,
    wasVerified: ({ context }) => context.known.root !== undefined,
    wasCollected: ({ context }) => context.known.nodes !== undefined,
    wasFetched: ({ context }) => context.known.digests !== undefined,
    wasAllowed: ({ context }) => context.known.aclBlock !== undefined
  }
}).createMachine({
  id: "decryption-request",
  description: "One request from the block that asked to the transaction that answered.",
  context: fromInput((input: { readonly anchor: Anchor }) => ({ anchor: input.anchor, known: {} })),
  initial: "detected",
  states: {
    detected: {
      description: "The request stands in a block and in our database. Next: the access list is asked at a recorded block.",
      entry: dispatch("detected"),
      on: { ...STILL_OURS, "acl-checked": { target: "acl-checked", actions: "remember" } }
    },
    "acl-checked": {
      description:
        "The access list said yes at the recorded block. Next: every ciphertext is fetched and held against its digest on " +
        "chain.",
      entry: dispatch("acl-checked"),
      on: { ...STILL_OURS, "ciphertext-fetched": { target: "ciphertext-fetched", actions: "remember" } }
    },
    "ciphertext-fetched": {
      description: "Every ciphertext is here and matches its digest. Next: k nodes of the pinned committee are asked for shares.",
      entry: dispatch("ciphertext-fetched"),
      on: { ...STILL_OURS, "shares-collected": { target: "shares-collected", actions: "remember" } }
    },
    "shares-collected": {
      description: "k signed share answers are held, sealed. Next: they are combined, the result is verified and attested.",
      entry: dispatch("shares-collected"),
      on: { ...STILL_OURS, "threshold-verified": { target: "threshold-verified", actions: "remember" } }
    },
    "threshold-verified": {
      description:
        "The result is verified and the committee attests it. Next: a lane submits it. It can no longer be cancelled, for " +
        "it may already be on its way; when the deadline passes the chain decides whether it came in time. A result that is gone, and " +
        "that no transaction can carry any more, is made again: a failover of the database took it, or it halted and was redriven.",
      entry: dispatch("threshold-verified"),
      on: {
        ...UNDER_WAY,
        cancelled: IGNORED,
        "result-lost": { target: "shares-collected", actions: "remember" },
        submitted: { target: "submitted", actions: "remember" }
      }
    },
    submitted: {
      description:
        "The result stands in a block that may still be reorganised away. Next: wait until that block is final. If the " +
        "transaction reappears in another block the request stays here with the new place.",
      entry: dispatch("submitted"),
      on: {
        ...UNDER_WAY,
        cancelled: IGNORED,
        submitted: [{ guard: "isAnotherPlace", target: "submitted", reenter: true, actions: "remember" }, IGNORED],
        finalized: { target: "finalized", actions: "remember" }
      }
    },
    finalized: {
      description: "Success: the result stands in a final block. Nothing is left to do.",
      type: "final",
      on: END_IS_FOR_EVER
    },
    refused: {
      description:
        "The access list or a rule says no. This is an answer about the request; the reason is kept and shown to the " +
        "requester.",
      type: "final",
      on: END_IS_FOR_EVER
    },
    expired: {
      description: "The deadline passed before a verified result stood on chain. The requester may ask again.",
      type: "final",
      on: END_IS_FOR_EVER
    },
    orphaned: {
      description:
        "The block that asked left the chain. Nothing to do. If the same request reappears in any block, the old one " +
        "included, it starts again from there.",
      on: { ...END_IS_FOR_EVER, moved: { target: "detected", actions: "remember" } }
    },
    cancelled: {
      description: "An operator stopped it before anything was verified; who and why is kept.",
      type: "final",
      on: END_IS_FOR_EVER
    },
    halted: {
      description:
        "Our own bug or an impossible answer: someone is paged. It says nothing about the request and is never shown to a " +
        "user as a no. An operator who has mended the cause may redrive it: it goes on from the last fact that was reached.",
      on: {
        ...END_IS_FOR_EVER,
        ...LEFT_THE_CHAIN,
        redriven: [
          { guard: "wasSubmitted", target: "submitted", actions: "remember" },
          { guard: "wasVerified", target: "threshold-verified", actions: "remember" },
          // The shares were deleted when it halted; that step asks again for what it misses.
          { guard: "wasCollected", target: "shares-collected", actions: "remember" },
          { guard: "wasFetched", target: "ciphertext-fetched", actions: "remember" },
          { guard: "wasAllowed", target: "acl-checked", actions: "remember" },
          { target: "detected", actions: "remember" }
        ]
      }
    }
  }
})
