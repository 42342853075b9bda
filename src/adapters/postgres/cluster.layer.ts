/** Cluster on PostgreSQL. Only the database's clock counts. Every order is one statement that also writes its history. */
import { Effect, Layer } from "effect"
import type { NodeState, PauseTarget, Role } from "../../domain/cluster.ts"
import type { WorkDone } from "../../domain/work-rate.ts"
import { NODE_DEAD_AFTER_MS, NODE_REMEMBERED_MS } from "../../domain/limits.ts"
import { Cluster, type ClusterNode, type DrainOrder, type OperatorAction, type Pause } from "../../ledger/cluster.port.ts"
import { Database, type Prepared } from "./pool.ts"

/** The row is written once, and answered as it is. */
const SERVE: Prepared = {
  name: "serve-chain",
  text: `
INSERT INTO served_chain AS s (chain_id, since) VALUES ($1, now()) ON CONFLICT (only_row) DO UPDATE SET chain_id = s.chain_id RETURNING chain_id`
}

const MS = (column: string): string => `round(extract(epoch FROM ${column}) * 1000)::float8`

const PAUSES = `
SELECT coalesce(json_agg(json_build_object('target', target, 'by', operator, 'why', why, 'sinceMs', ${MS("since")}) ORDER BY since, target), '[]')
FROM pause`

/** What a beat writes is not seen by what it reads, so a node counts itself. */
const BEAT: Prepared = {
  name: "beat",
  text: `
WITH beaten AS (
  INSERT INTO gateway_node AS n (worker, name, version, roles, machine_versions, state, started_at, beat_at, done)
  VALUES ($1, $2, $3, $4::text[], $5::integer[], $6, now() - $7::bigint * interval '1 millisecond', now(), $9::json)
  ON CONFLICT (worker) DO UPDATE SET state = excluded.state, beat_at = excluded.beat_at, done = excluded.done WHERE n.state <> 'gone'
)
SELECT
  (${PAUSES}) AS pauses,
  (SELECT json_build_object('by', operator, 'why', why) FROM drain_order WHERE worker = $1) AS drain,
  (SELECT coalesce(json_agg(array_to_json(roles)), '[]') FROM gateway_node
   WHERE worker <> $1 AND state IN ('joining', 'working') AND beat_at > now() - $8::bigint * interval '1 millisecond') AS others`
}

interface BeatRow {
  readonly pauses: ReadonlyArray<Pause>
  readonly drain: DrainOrder | null
  readonly others: ReadonlyArray<ReadonlyArray<Role>>
}

/** Whoever goes takes those along who have been gone for long. */
const LEAVE: Prepared = {
  name: "leave-cluster",
  text: `
WITH forgotten AS (DELETE FROM gateway_node WHERE worker <> $1 AND beat_at < now() - $3::bigint * interval '1 millisecond')
UPDATE gateway_node SET state = 'gone', farewell = $2, beat_at = now() WHERE worker = $1 AND state <> 'gone'`
}

const NODES: Prepared = {
  name: "nodes",
  text: `
SELECT worker, name, version, roles, machine_versions, state, farewell, ${MS("started_at")} AS started_at_ms,
       greatest(0, ${MS("(now() - beat_at)")}) AS silent_ms, ${MS("beat_at")} AS heard_at_ms, done
FROM gateway_node WHERE beat_at > now() - $1::bigint * interval '1 millisecond' ORDER BY worker`
}

interface NodeRow {
  readonly worker: string
  readonly name: string
  readonly version: string
  readonly roles: ReadonlyArray<Role>
  readonly machine_versions: ReadonlyArray<number>
  readonly state: NodeState
  readonly farewell: string | null
  readonly started_at_ms: number
  readonly silent_ms: number
  readonly heard_at_ms: number
  readonly done: WorkDone
}

const clusterNode = (row: NodeRow): ClusterNode => ({
  worker: row.worker,
  name: row.name,
  version: row.version,
  roles: row.roles,
  machineVersions: row.machine_versions,
  state: row.state,
  startedAtMs: row.started_at_ms,
  silentMs: row.silent_ms,
  heardAtMs: row.heard_at_ms,
  done: row.done,
  farewell: row.farewell
})

const READ_PAUSES: Prepared = { name: "pauses", text: `SELECT (${PAUSES}) AS pauses` }

const written = (action: OperatorAction["action"], change: string, target: string): string => `
WITH changed AS (${change} RETURNING ${target})
INSERT INTO operator_action (at, operator, action, target, why) SELECT now(), $2, '${action}', ${target}, $3 FROM changed RETURNING action_id`

const PAUSE: Prepared = {
  name: "pause",
  text: written("pause", "INSERT INTO pause (target, operator, why, since) VALUES ($1, $2, $3, now()) ON CONFLICT (target) DO NOTHING", "target")
}

const RESUME: Prepared = { name: "resume", text: written("resume", "DELETE FROM pause WHERE target = $1", "target") }

const DRAIN: Prepared = {
  name: "drain",
  text: written("drain", "INSERT INTO drain_order (worker, operator, why, at) VALUES ($1, $2, $3, now()) ON CONFLICT (worker) DO NOTHING", "worker")
}

const NOTE: Prepared = {
  name: "note-message-action",
  text: "INSERT INTO operator_action (at, operator, action, target, why) VALUES (now(), $1, $2, $3, $4)"
}

const ACTIONS: Prepared = {
  name: "operator-actions",
  text: `SELECT ${MS("at")} AS "atMs", operator AS "by", action, target, why FROM operator_action ORDER BY action_id DESC LIMIT $1`
}

export const clusterLayer: Layer.Layer<Cluster, never, Database> = Layer.effect(
  Cluster,
  Effect.gen(function*() {
    const database = yield* Database
    const order = (doing: string, statement: Prepared) => (target: PauseTarget | string, by: string, why: string) =>
      Effect.map(database.run(doing, statement, [target, by, why]), (rows) => rows.length > 0)
    return Cluster.of({
      serve: (chainId) =>
        Effect.map(database.run<{ chain_id: bigint }>("ask which chain is served", SERVE, [chainId]), ([row]) => row?.chain_id ?? chainId),
      beat: ({ worker, name, version, roles, machineVersions, state, uptimeMs, done }) =>
        database
          .run<BeatRow>("say that this node lives", BEAT, [
            worker, name, version, roles, machineVersions, state, Math.round(uptimeMs), NODE_DEAD_AFTER_MS,
            JSON.stringify(done)
          ])
          .pipe(Effect.map(([row]) => ({ pauses: row?.pauses ?? [], drain: row?.drain ?? null, others: row?.others ?? [] }))),
      leave: (worker, farewell) => Effect.asVoid(database.run("leave the cluster", LEAVE, [worker, farewell, NODE_REMEMBERED_MS])),
      nodes: Effect.map(database.run<NodeRow>("read the nodes", NODES, [NODE_REMEMBERED_MS]), (rows) => rows.map(clusterNode)),
      pauses: Effect.map(
        database.run<Pick<BeatRow, "pauses">>("read what is paused", READ_PAUSES, []),
        ([row]) => row?.pauses ?? []
      ),
      pause: order("pause", PAUSE),
      resume: order("resume", RESUME),
      drain: order("order a node to drain", DRAIN),
      noteMessageAction: (action, target, by, why) =>
        Effect.asVoid(database.run("write down what an operator does", NOTE, [by, action, target, why])),
      actions: (limit) => database.run<OperatorAction>("read what operators did", ACTIONS, [limit])
    })
  })
)
