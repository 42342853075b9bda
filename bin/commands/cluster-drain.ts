/** `portcullis cluster drain`: orders one life of a node to finish or give back its work and to end, and waits until it has. */
import { Clock, Duration, Effect } from "effect"
import { userInfo } from "node:os"
import { NODE_BEAT_MS, NODE_DEAD_AFTER_MS } from "../../src/domain/limits.ts"
import { Cluster, type ClusterNode } from "../../src/ledger/cluster.port.ts"
import { closestName } from "../closest-name.ts"
import { seenState } from "../cluster-view.ts"
import { withLedger } from "../ledger-access.ts"
import { failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"
import { DRAIN_MS_MAX } from "../run-until-stopped.ts"

export interface DrainFlags extends CommandFlags {
  readonly why: string
}

const LOOK_MS = 250
/** Until the order is heard, the drain's own bound, and until a silent node is taken for dead. */
const PATIENCE_MS = 2 * NODE_BEAT_MS + DRAIN_MS_MAX + NODE_DEAD_AFTER_MS

export const clusterDrain = (node: string, flags: DrainFlags): Promise<void> => runCommand(flags, withLedger(flags, drainAnswer(node, flags.why)))

const drainAnswer = Effect.fnUntraced(function* (wanted: string, why: string) {
  const cluster = yield* Cluster
  const startMs = yield* Clock.currentTimeMillis
  const { worker } = yield* nodeMeant(wanted, yield* cluster.nodes)
  const by = userInfo().username
  const isNew = yield* cluster.drain(worker, by, why)
  const end = yield* awaitEnd(worker, startMs + PATIENCE_MS)
  const tookMs = (yield* Clock.currentTimeMillis) - startMs
  return {
    json: { worker, ended: end, tookMs, by, why },
    lines: [
      `drained    ${worker} in ${(tookMs / 1_000).toFixed(1)} s`,
      `by         ${by}: ${why}${isNew ? "" : " (it was ordered before)"}`,
      "next       portcullis cluster status"
    ]
  } satisfies Answer
})

/** By its whole id, or by a name that only one living node has. */
const nodeMeant = (wanted: string, nodes: ReadonlyArray<ClusterNode>) => {
  const living = nodes.filter((node) => seenState(node) !== "gone")
  const meant = living.filter(({ worker, name }) => worker === wanted || name === wanted)
  const [only, ...others] = meant
  if (only !== undefined && others.length === 0) return Effect.succeed(only)
  if (only !== undefined) return Effect.fail(usage(`several living nodes have this name: ${meant.map(({ worker }) => worker).join(", ")}`))
  if (nodes.some(({ worker }) => worker === wanted)) return Effect.fail(failed("this life of the node has ended already", "portcullis cluster status"))
  const closest = closestName(wanted, living.flatMap(({ worker, name }) => [name, worker]))
  return Effect.fail(usage(`the cluster has no such living node${closest === undefined ? "" : `; did you mean ${closest}?`}`))
}

const awaitEnd = Effect.fnUntraced(function* (worker: string, untilMs: number) {
  const cluster = yield* Cluster
  for (;;) {
    const node = (yield* cluster.nodes).find((one) => one.worker === worker)
    if (node === undefined || seenState(node) === "gone") {
      if (node?.farewell === "drained") return "drained" as const
      return yield* failed(reasonOf(node), "What it had under way is in the ledger, and is given out again within seconds. Its log says why.")
    }
    if ((yield* Clock.currentTimeMillis) > untilMs) {
      return yield* failed(`the node still says that it is ${node.state}`, "Its log says why; ended by force, it loses nothing.")
    }
    yield* Effect.sleep(Duration.millis(LOOK_MS))
  }
})

const reasonOf = (node: ClusterNode | undefined): string => {
  if (node === undefined) return "the database has forgotten the node while it drained: was the server restarted?"
  if (node.farewell !== null) return `the node ended, but it had not drained: ${node.farewell}`
  return node.state === "draining"
    ? `the node was ended before it had drained (it has ${DRAIN_MS_MAX / 1_000} s for that)`
    : "the node stopped answering before it began to drain"
}
