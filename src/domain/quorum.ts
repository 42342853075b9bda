/** The arithmetic of "enough": each node is heard once, and hope ends as soon as the silent ones no longer suffice. */
import type { NodeId } from "./committee.ts"

export interface Tally {
  readonly threshold: number
  readonly unheard: ReadonlySet<NodeId>
  readonly good: ReadonlySet<NodeId>
  readonly bad: ReadonlySet<NodeId>
}

export type Verdict = "waiting" | "reached" | "out-of-reach"

export const openTally = (threshold: number, nodes: Iterable<NodeId>): Tally => ({
  threshold,
  unheard: new Set(nodes),
  good: new Set(),
  bad: new Set()
})

/** A second reply from a node, good or bad, changes nothing. */
export const hear = (tally: Tally, node: NodeId, isGood: boolean): Tally => {
  if (!tally.unheard.has(node)) return tally
  const heard = new Set([node])
  return {
    ...tally,
    unheard: tally.unheard.difference(heard),
    good: isGood ? tally.good.union(heard) : tally.good,
    bad: isGood ? tally.bad : tally.bad.union(heard)
  }
}

/** A node that was counted good turned out to lie (optimistic combination failed). */
export const disown = (tally: Tally, node: NodeId): Tally =>
  tally.good.has(node)
    ? { ...tally, good: tally.good.difference(new Set([node])), bad: tally.bad.union(new Set([node])) }
    : tally

export const verdict = ({ threshold, unheard, good }: Tally): Verdict => {
  if (good.size >= threshold) return "reached"
  if (good.size + unheard.size < threshold) return "out-of-reach"
  return "waiting"
}
