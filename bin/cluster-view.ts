/** The cluster as an operator wants to see it, for `portcullis cluster status` and GET /cluster: nodes with what they hold, and what is paused. */
import { Effect } from "effect"
import { json } from "../src/adapters/http/gateway-http.ts"
import type { HttpAnswer } from "../src/adapters/http/http-server.ts"
import type { NodeState } from "../src/domain/cluster.ts"
import { NODE_DEAD_AFTER_MS } from "../src/domain/limits.ts"
import { Cluster, type ClusterNode, type OperatorAction, type Pause } from "../src/ledger/cluster.port.ts"
import { Leases } from "../src/ledger/lease.port.ts"
import { Timeline, type TimelineView } from "../src/ledger/timeline.port.ts"

export interface SeenNode extends ClusterNode {
  /** `gone` as well when it has been silent for too long, whatever it said last. */
  readonly state: NodeState
  /** Names of the leases it has: partition/<n>, lane/<chain>/<address>, and those of listeners. */
  readonly holds: ReadonlyArray<string>
}

export interface ClusterView {
  readonly nodes: ReadonlyArray<SeenNode>
  /** Leases of owners that are no known nodes. */
  readonly strangers: ReadonlyArray<{ readonly owner: string; readonly name: string }>
  /** Which history of the database this is, and whether lanes may send in it. */
  readonly timeline: TimelineView
  readonly pauses: ReadonlyArray<Pause>
  /** The newest first. */
  readonly actions: ReadonlyArray<OperatorAction>
}

/** More is in the table operator_action. */
const ACTIONS_SHOWN = 10

export const seenState = ({ state, silentMs }: ClusterNode): NodeState => (silentMs > NODE_DEAD_AFTER_MS ? "gone" : state)

export const clusterView = Effect.gen(function* () {
  const cluster = yield* Cluster
  const leases = yield* Leases
  const [nodes, pauses, actions, holders, timeline] = yield* Effect.all(
    [cluster.nodes, cluster.pauses, cluster.actions(ACTIONS_SHOWN), leases.holders, Timeline.use(({ look }) => look)],
    { concurrency: "unbounded" }
  )
  const heldBy = Map.groupBy(holders, ({ owner }) => owner)
  const known = new Set(nodes.map(({ worker }) => worker))
  return {
    nodes: nodes.map((node) => ({ ...node, state: seenState(node), holds: (heldBy.get(node.worker) ?? []).map(({ name }) => name) })),
    strangers: holders.filter(({ owner }) => !known.has(owner)).map(({ owner, name }) => ({ owner, name })),
    timeline,
    pauses,
    actions
  } satisfies ClusterView as ClusterView
})

/** What GET /cluster answers. Why the ledger cannot be asked is for the log. */
export const clusterRoute = Effect.map(Effect.context<Cluster | Leases | Timeline>(), (context) =>
  clusterView.pipe(
    Effect.map((view): HttpAnswer => json(200, view)),
    Effect.catch(() => Effect.succeed<HttpAnswer>(json(503, { error: "the ledger cannot be asked" }))),
    Effect.provideContext(context)
  )
)
