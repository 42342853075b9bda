/** Cluster in memory: who lives by the database's clock, what operators have ordered, and the history of that. */
import { Layer } from "effect"
import { NODE_DEAD_AFTER_MS, NODE_REMEMBERED_MS } from "../../../src/domain/limits.ts"
import { type Beat, Cluster, type OperatorAction, type Pause } from "../../../src/ledger/cluster.port.ts"
import type { Connection } from "./connection.ts"
import type { Transaction } from "./memory-table.ts"
import { drainOrderTable, gatewayNodeTable, operatorActionTable, pauseTable, servedChainTable } from "./tables.ts"

const note = ({ table, next, nowMs }: Transaction, action: Omit<OperatorAction, "atMs">): void => {
  table(operatorActionTable).insert({ id: next("operator-action"), atMs: nowMs, ...action })
}

const pausesIn = ({ table }: Transaction): ReadonlyArray<Pause> =>
  table(pauseTable).all().toSorted((a, b) => a.sinceMs - b.sinceMs || (a.target < b.target ? -1 : 1))

const heardBy = (transaction: Transaction, { worker }: Beat) => {
  const { table, nowMs } = transaction
  const order = table(drainOrderTable).get(worker)
  const alive = table(gatewayNodeTable)
    .all()
    .filter((node) => node.worker !== worker && ["joining", "working"].includes(node.state) && node.beatAtMs > nowMs - NODE_DEAD_AFTER_MS)
  return {
    pauses: pausesIn(transaction),
    drain: order === undefined ? null : { by: order.by, why: order.why },
    others: alive.map(({ roles }) => roles)
  }
}

export const clusterOn = (connection: Connection): Layer.Layer<Cluster> =>
  Layer.succeed(Cluster, {
    serve: (chainId) =>
      connection.statement("serve-chain", ({ table }) => {
        table(servedChainTable).insertIfNew({ chainId })
        return table(servedChainTable).all()[0]?.chainId ?? chainId
      }),
    beat: (beat) =>
      connection.statement("beat", (transaction) => {
        const { table, nowMs } = transaction
        const { uptimeMs, state, done, ...life } = beat
        const nodes = table(gatewayNodeTable)
        const known = nodes.get(beat.worker)
        if (known === undefined) nodes.insert({ ...life, state, done, startedAtMs: nowMs - Math.round(uptimeMs), beatAtMs: nowMs, farewell: null })
        else if (known.state !== "gone") nodes.update(beat.worker, (row) => ({ ...row, state, done, beatAtMs: nowMs }))
        return heardBy(transaction, beat)
      }),
    leave: (worker, farewell) =>
      connection.statement("leave-cluster", ({ table, nowMs }) => {
        const nodes = table(gatewayNodeTable)
        for (const node of nodes.all()) {
          if (node.worker !== worker && node.beatAtMs < nowMs - NODE_REMEMBERED_MS) nodes.delete(node.worker)
        }
        const known = nodes.get(worker)
        if (known === undefined || known.state === "gone") return
        nodes.update(worker, (row) => ({ ...row, state: "gone", farewell, beatAtMs: nowMs }))
      }),
    nodes: connection.statement("nodes", ({ table, nowMs }) =>
      table(gatewayNodeTable)
        .all()
        .filter(({ beatAtMs }) => beatAtMs > nowMs - NODE_REMEMBERED_MS)
        .map(({ beatAtMs, ...node }) => ({ ...node, heardAtMs: beatAtMs, silentMs: Math.max(0, nowMs - beatAtMs) }))
        .toSorted((a, b) => (a.worker < b.worker ? -1 : 1))
    ),
    pauses: connection.statement("pauses", pausesIn),
    pause: (target, by, why) =>
      connection.statement("pause", (transaction) => {
        const isNew = transaction.table(pauseTable).insertIfNew({ target, by, why, sinceMs: transaction.nowMs }) !== undefined
        if (isNew) note(transaction, { action: "pause", target, by, why })
        return isNew
      }),
    resume: (target, by, why) =>
      connection.statement("resume", (transaction) => {
        const isLifted = transaction.table(pauseTable).delete(target) !== undefined
        if (isLifted) note(transaction, { action: "resume", target, by, why })
        return isLifted
      }),
    drain: (worker, by, why) =>
      connection.statement("drain", (transaction) => {
        const isNew = transaction.table(drainOrderTable).insertIfNew({ worker, by, why }) !== undefined
        if (isNew) note(transaction, { action: "drain", target: worker, by, why })
        return isNew
      }),
    noteMessageAction: (action, target, by, why) =>
      connection.statement("note-message-action", (transaction) => note(transaction, { action, target, by, why })),
    actions: (limit) =>
      connection.statement("operator-actions", ({ table }) =>
        table(operatorActionTable)
          .all()
          .toSorted((a, b) => (a.id > b.id ? -1 : 1))
          .slice(0, limit)
          .map(({ atMs, by, action, target, why }) => ({ atMs, by, action, target, why }))
      )
  })
