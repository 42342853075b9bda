/** Whom to ask for shares of one request, and when it is enough. Starts with exactly k nodes, replaces one that failed by the
 * next best, adds one when a hedge is due, and never asks more distinct nodes than the budget: each answer is one more share in
 * the world (I7). When k answers can no longer be had because nodes refuse, it asks on until a "no" is certain: a known liar must
 * not leave the request one refusal short of its end. */
import { assign, setup } from "xstate"
import type { NodeId } from "../src/domain/committee.ts"
import { verdict, type Verdict } from "../src/domain/quorum.ts"
import { begin, effectOf, named, walk, type Kept } from "./walk.ts"

export type QuorumEvent =
  | {
      readonly type: "opened"
      readonly threshold: number
      /** n, those that are not ranked included. */
      readonly committeeSize: number
      /** Everyone who may be asked, best first. Nodes that lied about this request are not among them. */
      readonly ranked: ReadonlyArray<NodeId>
      /** Most distinct nodes that may ever have been asked: k - 1 before the access check is final, n after. */
      readonly budget: number
      /** Nodes whose answers are already held. */
      readonly held: ReadonlyArray<NodeId>
      /** Nodes that were asked earlier, answered or not: they count against the budget, and may be asked again. */
      readonly askedBefore: ReadonlyArray<NodeId>
    }
  /** An authentic answer is held. */
  | { readonly type: "heard"; readonly node: NodeId }
  /** No answer came; when `isFinal` none will, otherwise the node may be asked once more when nobody better is left. */
  | { readonly type: "failed"; readonly node: NodeId; readonly isFinal: boolean; /** It said "no" to the request itself. */ readonly isNo: boolean }
  /** Those asked have taken longer than they usually do. */
  | { readonly type: "hedge-due" }
  /** Combining showed that this node's share was wrong: its answer no longer counts. */
  | { readonly type: "disowned"; readonly node: NodeId }
  | { readonly type: "budget-raised"; readonly budget: number }

export interface ShareQuorumContext {
  readonly threshold: number
  /** Refusals that make a "no": so many that no k others are left, n - k + 1. */
  readonly enoughNo: number
  readonly ranked: ReadonlyArray<NodeId>
  readonly budget: number
  /** Every node ever asked. */
  readonly asked: ReadonlyArray<NodeId>
  readonly inFlight: ReadonlyArray<NodeId>
  /** Failed, but may be asked again; the longest waiting first. */
  readonly retryable: ReadonlyArray<NodeId>
  readonly good: ReadonlyArray<NodeId>
  readonly bad: ReadonlyArray<NodeId>
  /** Those of `bad` that said "no" to the request itself. */
  readonly refused: ReadonlyArray<NodeId>
}

export type ShareQuorumState = "closed" | "judging" | "asking" | "starved" | "reached" | "out-of-reach"
export type ShareQuorumSnapshot = Kept<ShareQuorumState, ShareQuorumContext>

export interface QuorumStep {
  readonly snapshot: ShareQuorumSnapshot
  /** Nodes to be asked now. */
  readonly ask: ReadonlyArray<NodeId>
}

export const openQuorum = (opening: Omit<Extract<QuorumEvent, { type: "opened" }>, "type">): QuorumStep =>
  nextQuorum(begin(shareQuorumMachine, undefined).kept, { type: "opened", ...opening })

export const nextQuorum = (snapshot: ShareQuorumSnapshot, event: QuorumEvent): QuorumStep => {
  const { kept, effects } = walk(shareQuorumMachine, snapshot, event)
  return { snapshot: kept, ask: effectOf<{ nodes: ReadonlyArray<NodeId> }>(effects, "ask")?.nodes ?? [] }
}

const without = (nodes: ReadonlyArray<NodeId>, gone: NodeId): ReadonlyArray<NodeId> => nodes.filter((node) => node !== gone)

const union = (a: ReadonlyArray<NodeId>, b: ReadonlyArray<NodeId>): ReadonlyArray<NodeId> => [...new Set([...a, ...b])]

const judge = (context: ShareQuorumContext): Verdict => {
  const good = new Set(context.good)
  const bad = new Set(context.bad)
  const unheard = new Set(context.ranked).difference(good).difference(bad)
  const said = verdict({ threshold: context.threshold, unheard, good, bad })
  return said === "out-of-reach" && mayBeNo(context, unheard.size) ? "waiting" : said
}

/** Somebody has refused, not enough have, and enough still can. */
const mayBeNo = ({ refused, enoughNo }: ShareQuorumContext, unheard: number): boolean =>
  refused.length > 0 && refused.length < enoughNo && refused.length + unheard >= enoughNo

/** How many more have to be asked for k answers; or, when k can no longer be had, for a "no". */
const missing = ({ threshold, enoughNo, ranked, good, bad, refused, inFlight }: ShareQuorumContext): number => {
  const isOutOfReach = ranked.filter((node) => !bad.includes(node)).length < threshold
  return (isOutOfReach ? enoughNo - refused.length : threshold - good.length) - inFlight.length
}

/** What is known of the nodes after an event, before anyone else is asked. */
const note = (context: ShareQuorumContext, event: QuorumEvent): ShareQuorumContext => {
  switch (event.type) {
    case "opened":
      return {
        threshold: event.threshold,
        enoughNo: event.committeeSize - event.threshold + 1,
        ranked: union(event.ranked, event.held),
        budget: event.budget,
        asked: union(event.held, event.askedBefore),
        inFlight: [],
        retryable: [],
        good: [...new Set(event.held)],
        bad: [],
        refused: []
      }
    case "heard": {
      // A late answer is as good as an early one; one that nobody asked for is not counted, nor is a second one.
      if (!context.inFlight.includes(event.node) && !context.retryable.includes(event.node)) return context
      return {
        ...context,
        inFlight: without(context.inFlight, event.node),
        retryable: without(context.retryable, event.node),
        good: [...context.good, event.node]
      }
    }
    case "failed": {
      if (!context.inFlight.includes(event.node)) return context
      return {
        ...context,
        inFlight: without(context.inFlight, event.node),
        retryable: event.isFinal ? context.retryable : [...context.retryable, event.node],
        bad: event.isFinal ? [...context.bad, event.node] : context.bad,
        refused: event.isFinal && event.isNo ? [...context.refused, event.node] : context.refused
      }
    }
    case "disowned":
      return context.good.includes(event.node)
        ? { ...context, good: without(context.good, event.node), bad: [...context.bad, event.node] }
        : context
    case "budget-raised":
      return { ...context, budget: Math.max(context.budget, event.budget) }
    case "hedge-due":
      return context
  }
}

/** Who is asked next: the best that were not asked in this round, as far as the budget reaches; on a hedge also those that
 * failed earlier. */
const chosen = (context: ShareQuorumContext, event: QuorumEvent): ReadonlyArray<NodeId> => {
  if (judge(context) !== "waiting") return []
  const isHedge = event.type === "hedge-due"
  const wanted = Math.max(missing(context), isHedge ? 1 : 0)
  const taken = new Set([...context.inFlight, ...context.retryable, ...context.good, ...context.bad])
  const candidates = [...context.ranked.filter((node) => !taken.has(node)), ...(isHedge ? context.retryable : [])]
  let free = context.budget - context.asked.length
  const picked: Array<NodeId> = []
  for (const node of candidates) {
    if (picked.length >= wanted) break
    const isNew = !context.asked.includes(node)
    if (isNew && free <= 0) continue
    if (isNew) free -= 1
    picked.push(node)
  }
  return picked
}

type Told = { readonly context: ShareQuorumContext; readonly event: QuorumEvent }

const HEED = {
  target: "judging",
  actions: [
    "note",
    { type: "ask", params: ({ context, event }: Told) => ({ nodes: chosen(context, event) }) },
    "markAsked"
  ]
} as const

const HEED_ALL = { opened: {}, heard: HEED, failed: HEED, "hedge-due": HEED, disowned: HEED, "budget-raised": HEED } as const

export const shareQuorumMachine = setup({
  types: {} as { context: ShareQuorumContext; events: QuorumEvent },
  actions: {
    note: assign(({ context, event }) => note(context, event)),
    /** Read by `nextQuorum`. */
    ask: named<{ readonly nodes: ReadonlyArray<NodeId> }>(),
    markAsked: assign(({ context, event }) => {
      const nodes = chosen(context, event)
      return {
        asked: union(context.asked, nodes),
        inFlight: [...context.inFlight, ...nodes],
        retryable: context.retryable.filter((node) => !nodes.includes(node))
      }
    })
  },
  guards: {
    isReached: ({ context }) => judge(context) === "reached",
    isOutOfReach: ({ context }) => judge(context) === "out-of-reach",
    isAnyoneAsked: ({ context }) => context.inFlight.length > 0
  }
}).createMachine({
  id: "share-quorum",
  description: "The shares of one request: whom to ask, and when it is enough.",
  context: { threshold: 0, enoughNo: 1, ranked: [], budget: 0, asked: [], inFlight: [], retryable: [], good: [], bad: [], refused: [] },
  initial: "closed",
  states: {
    closed: {
      description: "Nothing is known about the committee yet.",
      on: { opened: HEED, heard: {}, failed: {}, "hedge-due": {}, disowned: {}, "budget-raised": {} }
    },
    judging: {
      description: "Passing: counts who answered, who is silent and who is out.",
      always: [
        { guard: "isReached", target: "reached" },
        { guard: "isOutOfReach", target: "out-of-reach" },
        { guard: "isAnyoneAsked", target: "asking" },
        { target: "starved" }
      ]
    },
    asking: {
      description: "Nodes have been asked and may still answer.",
      on: HEED_ALL
    },
    starved: {
      description:
        "Too few answers, and nobody is being asked: the budget is used up, or all who are left failed a moment ago. A " +
        "higher budget or the next hedge goes on.",
      on: HEED_ALL
    },
    reached: {
      description: "k answers are held. If combining shows that one was wrong, its node is disowned and another one is asked.",
      on: HEED_ALL
    },
    "out-of-reach": {
      description:
        "Too many nodes failed for good: no answer that may still come makes k, and none is needed for a \"no\". If it is none, " +
        "the request is tried again later with a clean slate.",
      type: "final",
      on: { opened: {}, heard: {}, failed: {}, "hedge-due": {}, disowned: {}, "budget-raised": {} }
    }
  }
})
