/** Hosts one kms-node machine for each committee member: what this process believes of it, from its own experience. Beliefs only decide who is
 * asked first; they are never saved, because a wrong one costs a little time and nothing else. */
import { Clock, Effect } from "effect"
import {
  firstBelief,
  mayAsk,
  nextBelief,
  rankNodes,
  type FailureKind,
  type KmsNodeBelief,
  type KmsNodeState,
  type NodeEvent
} from "../machines/kms-node.machine.ts"
import { nodeOf, type Committee, type NodeId } from "../src/domain/committee.ts"
import type { Hex } from "../src/domain/hex.ts"
import type { NodeError } from "../src/journey/4-shares-collected/share-node.port.ts"
import { monotonicMsOf } from "../src/resilience/monotonic.ts"
import { BUDGET, earn, fullBudget, spend } from "../src/resilience/retry-budget.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"

export interface NodeBeliefs {
  /** Every node that may be asked, best first. When too few are left for a threshold, the resting ones follow. */
  readonly rank: (committee: Committee) => ReadonlyArray<NodeId>
  /** How long these nodes usually take at most; after that one more is asked. Milliseconds. */
  readonly hedgeAfterMs: (committee: Committee, asked: ReadonlyArray<NodeId>) => number
  /** Whether one more may be asked because one is slow. A dependency that is slow as a whole must not be asked ever more for it. */
  readonly mayHedge: () => boolean
  /** That many were asked for this reason. */
  readonly hedged: (asks: number) => void
  readonly asked: (committee: Committee, node: NodeId) => void
  readonly answered: (committee: Committee, node: NodeId, latencyMs: number) => void
  readonly failed: (committee: Committee, node: NodeId, failure: NodeError) => void
  readonly lied: (committee: Committee, node: NodeId) => void
  readonly states: () => ReadonlyMap<Hex, KmsNodeState>
}

/** Before anything was measured: about three times what a healthy node in the same region takes. */
const HEDGE_FIRST_MS = 500
/** Asking more nodes than k costs them work; below this nobody would notice the wait. */
const HEDGE_LEAST_MS = 50

const KIND_OF: Readonly<Record<NodeError["_tag"], FailureKind>> = {
  NodeUnavailable: "unavailable",
  NodeRefused: "refused",
  AnswerInvalid: "invalid"
}

export const nodeBeliefs = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const telemetry = yield* Telemetry
  /** By identity: node ids mean different nodes in different epochs. */
  const beliefs = new Map<Hex, KmsNodeBelief>()
  const beliefOf = (committee: Committee, node: NodeId): KmsNodeBelief =>
    beliefs.get(nodeOf(committee, node).identity) ?? firstBelief()
  /** No call to a node is repeated below this, so hedges are all that this purse has to pay for. */
  let budget = fullBudget()
  const now = () => monotonicMsOf(clock)
  const tell = (committee: Committee, node: NodeId, event: NodeEvent): void => {
    const { identity } = nodeOf(committee, node)
    const before = beliefOf(committee, node)
    const after = nextBelief(before, event)
    beliefs.set(identity, after)
    if (before.value !== after.value) telemetry.warn("kms node", { identity, node, from: before.value, to: after.value })
  }
  return {
    rank: (committee) => {
      const known = new Map(committee.nodes.map(({ id }) => [id, beliefOf(committee, id)]))
      const askable = rankNodes(known, now())
      if (askable.length >= committee.threshold) return askable
      return [...askable, ...[...known].filter(([, belief]) => !mayAsk(belief, now())).map(([id]) => id)]
    },
    hedgeAfterMs: (committee, asked) => {
      const p95s = asked.map((node) => beliefOf(committee, node).context.latency?.p95Ms ?? HEDGE_FIRST_MS)
      return Math.max(HEDGE_LEAST_MS, ...p95s)
    },
    mayHedge: () => spend(budget) !== undefined,
    hedged: (asks) => {
      for (let ask = 0; ask < asks; ask++) budget = spend(budget) ?? budget
    },
    asked: (committee, node) => tell(committee, node, { type: "asked", now: now() }),
    answered: (committee, node, latencyMs) => {
      budget = earn(BUDGET, budget)
      tell(committee, node, { type: "answered", latencyMs, now: now() })
    },
    failed: (committee, node, failure) => tell(committee, node, { type: "failed", kind: KIND_OF[failure._tag], now: now() }),
    lied: (committee, node) => tell(committee, node, { type: "lied", now: now() }),
    states: () => new Map([...beliefs].map(([identity, { value }]) => [identity, value]))
  } satisfies NodeBeliefs
})
