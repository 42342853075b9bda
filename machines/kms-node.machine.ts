/** What we believe of one KMS node, from its answers and silences only; it decides whether the node is asked, never whether an
 * answer is right. Times are told, never read. A node that was caught lying stays suspended until an operator clears it. */
import { assign, setup } from "xstate"
import type { NodeId } from "../src/domain/committee.ts"
import { begin, walk, type Kept } from "./walk.ts"

/** `unavailable`: silence or "later". `refused`: its view of the chain says no. `invalid`: what no correct node answers. */
export type FailureKind = "unavailable" | "refused" | "invalid"

export type NodeEvent =
  /** It is being asked; only ever sent when `mayAsk` said yes. */
  | { readonly type: "asked"; readonly now: number }
  | { readonly type: "answered"; readonly latencyMs: number; readonly now: number }
  | { readonly type: "failed"; readonly kind: FailureKind; readonly now: number }
  /** It is proved that it gave a wrong share. */
  | { readonly type: "lied"; readonly now: number }
  | { readonly type: "pardoned"; readonly by: string; readonly now: number }

/** Provisional until the chaos runs have been measured. */
export const NODE_PATIENCE = {
  /** Failures in a row of one kind before a node is asked only after the others. */
  suspectAfter: { unavailable: 2, refused: 3, invalid: 1 },
  /** Failures in a row of one kind before it is not asked at all. A refusal may be the right answer: it never trips. */
  tripAfter: { unavailable: 5, refused: Number.MAX_SAFE_INTEGER, invalid: 2 },
  /** First rest of a tripped node; doubled each time it trips again without having been well. */
  restMs: 2_000,
  restMsMax: 60_000,
  /** Half-open: one success proves little and one failure too. */
  probes: 4,
  probesGoodMin: 3
} as const

/** Weight of the newest latency: about the last nine answers count. */
const LATENCY_WEIGHT = 0.2
/** Step of the p95 estimate, as a part of the mean: settles within some fifty answers. */
const QUANTILE_STEP = 0.25
const QUANTILE = 0.95

export interface KmsNodeContext {
  /** Failures in a row, by kind. */
  readonly failures: Readonly<Record<FailureKind, number>>
  /** How often it tripped since it was last well. */
  readonly trips: number
  /** When a tripped node may be probed. */
  readonly restsUntilMs: number
  readonly probesSent: number
  readonly lastProbeMs: number
  readonly probesGood: number
  readonly probesBad: number
  /** Exponentially weighted mean, and an estimate of the 95th percentile; null before the first answer. */
  readonly latency: { readonly meanMs: number; readonly p95Ms: number } | null
}

export type KmsNodeState = "weighing" | "well" | "suspect" | "tripped" | "probing" | "suspended"
export type KmsNodeBelief = Kept<KmsNodeState, KmsNodeContext>

export const firstBelief = (): KmsNodeBelief => begin(kmsNodeMachine, undefined).kept

export const nextBelief = (belief: KmsNodeBelief, event: NodeEvent): KmsNodeBelief => walk(kmsNodeMachine, belief, event).kept

export const mayAsk = ({ value, context }: KmsNodeBelief, now: number): boolean => {
  switch (value) {
    case "suspended":
      return false
    case "tripped":
      return now >= context.restsUntilMs
    case "probing":
      return context.probesSent < NODE_PATIENCE.probes || now >= context.lastProbeMs + NODE_PATIENCE.restMs
    default:
      return true
  }
}

const TRUST: Readonly<Record<KmsNodeState, number>> = { well: 0, weighing: 0, suspect: 1, probing: 2, tripped: 3, suspended: 4 }

/** Nodes that may be asked now: the trusted before the doubtful, then the fast before the slow; the unknown count as fast, to
 * become known. */
export const rankNodes = (beliefs: ReadonlyMap<NodeId, KmsNodeBelief>, now: number): ReadonlyArray<NodeId> =>
  [...beliefs]
    .filter(([, belief]) => mayAsk(belief, now))
    .toSorted(
      ([idA, a], [idB, b]) =>
        TRUST[a.value] - TRUST[b.value] || (a.context.latency?.meanMs ?? 0) - (b.context.latency?.meanMs ?? 0) || idA - idB
    )
    .map(([id]) => id)

const NO_FAILURES = { unavailable: 0, refused: 0, invalid: 0 } as const

const measured = (latency: KmsNodeContext["latency"], sampleMs: number): KmsNodeContext["latency"] => {
  if (latency === null) return { meanMs: sampleMs, p95Ms: sampleMs * 2 }
  const meanMs = latency.meanMs + LATENCY_WEIGHT * (sampleMs - latency.meanMs)
  // Stochastic approximation of a quantile: up by 19 parts when the sample is above, down by one when it is not.
  const push = sampleMs > latency.p95Ms ? QUANTILE : QUANTILE - 1
  return { meanMs, p95Ms: Math.max(0, latency.p95Ms + QUANTILE_STEP * meanMs * push) }
}

const KINDS: ReadonlyArray<FailureKind> = ["unavailable", "refused", "invalid"]
const exceeds = ({ failures }: KmsNodeContext, limits: Readonly<Record<FailureKind, number>>): boolean =>
  KINDS.some((kind) => failures[kind] >= limits[kind])

const CAUGHT = { target: "suspended" } as const

export const kmsNodeMachine = setup({
  types: {} as { context: KmsNodeContext; events: NodeEvent },
  actions: {
    measure: assign(({ context, event }) =>
      event.type === "answered" ? { latency: measured(context.latency, event.latencyMs) } : {}
    ),
    forgive: assign({ failures: NO_FAILURES, trips: 0 }),
    count: assign(({ context, event }) =>
      event.type === "failed" ? { failures: { ...context.failures, [event.kind]: context.failures[event.kind] + 1 } } : {}
    ),
    rest: assign(({ context, event }) => ({
      trips: context.trips + 1,
      restsUntilMs: event.now + Math.min(NODE_PATIENCE.restMsMax, NODE_PATIENCE.restMs * 2 ** Math.min(context.trips, 30))
    })),
    startProbing: assign(({ event }) => ({ probesSent: 1, probesGood: 0, probesBad: 0, lastProbeMs: event.now })),
    countProbe: assign(({ context, event }) => ({ probesSent: context.probesSent + 1, lastProbeMs: event.now })),
    countGoodProbe: assign(({ context }) => ({ probesGood: context.probesGood + 1 })),
    countBadProbe: assign(({ context }) => ({ probesBad: context.probesBad + 1 }))
  },
  guards: {
    isTooMuch: ({ context }) => exceeds(context, NODE_PATIENCE.tripAfter),
    isDoubtful: ({ context }) => exceeds(context, NODE_PATIENCE.suspectAfter),
    isRested: ({ context, event }) => event.now >= context.restsUntilMs,
    /** Whoever asked has lost interest before the answer came, so these probes will never tell. */
    isProbeLost: ({ context, event }) =>
      context.probesSent >= NODE_PATIENCE.probes && event.now >= context.lastProbeMs + NODE_PATIENCE.restMs,
    /** Counted before the event itself is. */
    isEnoughGood: ({ context }) => context.probesGood + 1 >= NODE_PATIENCE.probesGoodMin,
    isTooManyBad: ({ context }) => context.probesBad + 1 > NODE_PATIENCE.probes - NODE_PATIENCE.probesGoodMin
  }
}).createMachine({
  id: "kms-node",
  description: "What we believe of one KMS node.",
  context: {
    failures: NO_FAILURES,
    trips: 0,
    restsUntilMs: 0,
    probesSent: 0,
    lastProbeMs: 0,
    probesGood: 0,
    probesBad: 0,
    latency: null
  },
  initial: "well",
  states: {
    weighing: {
      description: "Passing: weighs failures in a row against what is tolerated.",
      always: [
        { guard: "isTooMuch", target: "tripped", actions: "rest" },
        { guard: "isDoubtful", target: "suspect" },
        { target: "well" }
      ]
    },
    well: {
      description: "Answers as it should. Asked first, the fastest before the others.",
      on: {
        asked: {},
        answered: { actions: ["measure", "forgive"] },
        failed: { target: "weighing", actions: "count" },
        lied: CAUGHT,
        pardoned: {}
      }
    },
    suspect: {
      description: "Failed several times in a row. Asked only after those that are well; one good answer clears it.",
      on: {
        asked: {},
        answered: { target: "well", actions: ["measure", "forgive"] },
        failed: { target: "weighing", actions: "count" },
        lied: CAUGHT,
        pardoned: {}
      }
    },
    tripped: {
      description: "Failed too often. Not asked until it has rested; the rest doubles each time it trips again.",
      on: {
        asked: [{ guard: "isRested", target: "probing", actions: "startProbing" }, {}],
        answered: { actions: "measure" }, // late answers to what was asked before: no reason to ask again sooner
        failed: {},
        lied: CAUGHT,
        pardoned: { target: "well", actions: "forgive" }
      }
    },
    probing: {
      description: "Has rested. A few requests try it; most of them must succeed before it counts as well again.",
      on: {
        asked: [{ guard: "isProbeLost", actions: "startProbing" }, { actions: "countProbe" }],
        answered: [
          { guard: "isEnoughGood", target: "well", actions: ["measure", "forgive"] },
          { actions: ["measure", "countGoodProbe"] }
        ],
        failed: [{ guard: "isTooManyBad", target: "tripped", actions: "rest" }, { actions: "countBadProbe" }],
        lied: CAUGHT,
        pardoned: { target: "well", actions: "forgive" }
      }
    },
    suspended: {
      description: "Proved to have given a wrong share; the evidence is kept. Not asked until an operator pardons it.",
      on: { asked: {}, answered: {}, failed: {}, lied: {}, pardoned: { target: "well", actions: "forgive" } }
    }
  }
})
