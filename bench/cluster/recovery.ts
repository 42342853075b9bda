/**
 * How long it takes until everything is served as before after something was killed, under a steady small load on the whole
 * native path. SIGKILL for processes, `stop immediate` for PostgreSQL; again and again, each time with a cluster that has come
 * to rest.
 */
import { setTimeout as pause } from "node:timers/promises"
import { Effect } from "effect"
import { LEASE_MS, SWEEP_PERIOD_MS } from "../../src/domain/limits.ts"
import { leaseHolders, mostOf } from "../support/lease-holders.ts"
import { ALL_ROLES, NativeCluster } from "../support/native-cluster.ts"
import { recoveryOf, summarised, type Recovery, type RecoveryFigures } from "../support/recovery-time.ts"
import { SteadyLoad } from "../support/steady-load.ts"

export const KILLS = ["whole-gateway", "listener-leader", "coordinator", "lane-owner", "nats-server", "postgres"] as const
export type Kill = (typeof KILLS)[number]

export interface RecoveryReport {
  readonly requestsPerSecond: number
  /** What is aimed at: a lease has run out, and the sweeper has looked. */
  readonly aimMs: number
  readonly kills: Readonly<Partial<Record<Kill, RecoveryFigures>>>
  /** Processes that ended although nobody killed them. Must be empty. */
  readonly unexpectedEnds: ReadonlyArray<string>
}

export const RECOVERY_AIM_MS = LEASE_MS + SWEEP_PERIOD_MS
const REQUESTS_PER_SECOND = 2
const LANES = 2
const HANDLES = 200
/** Before the kill: this is what `usual` means. */
const STEADY_MS = 8_000
const WARM_UP_MS = 6_000
/** Raised on for so long after it, and no shorter: what waits for a lease to run out must have been noticed. */
const WATCH_MS_MIN = RECOVERY_AIM_MS + 1_000
const END_MS_MAX = 60_000
const LOOK_EVERY_MS = 500

/** Two of each, so that somebody is there to take over; every one of the workers works on all steps. */
const IN_ROLES: ReadonlyArray<readonly [name: string, roles: string]> = [
  ["l1", "listener,worker"],
  ["l2", "listener,worker"],
  ["c1", "coordinator"],
  ["c2", "coordinator"],
  ["s1", "sender"],
  ["s2", "sender"]
]

/** Undoes what was done, so that the cluster is whole again. */
type Heal = () => Promise<void>

export const measureRecovery = async (kills: ReadonlyArray<Kill>, repetitions: number): Promise<RecoveryReport> => {
  const cluster = await NativeCluster.start({ natsServers: 3, lanes: LANES, handles: HANDLES })
  try {
    const figures: Partial<Record<Kill, RecoveryFigures>> = {}
    for (const kill of KILLS.filter((one) => kills.includes(one))) {
      await arrange(cluster, kill === "whole-gateway" ? [["g1", ALL_ROLES]] : IN_ROLES)
      const all: Array<Recovery> = []
      for (let repetition = 0; repetition < repetitions; repetition++) {
        all.push(await once(cluster, kill, repetition))
        process.stderr.write(`${new Date().toISOString()} ${kill} ${repetition + 1}/${repetitions}: ${JSON.stringify(all.at(-1))}\n`)
      }
      figures[kill] = summarised(all)
    }
    return { requestsPerSecond: REQUESTS_PER_SECOND, aimMs: RECOVERY_AIM_MS, kills: figures, unexpectedEnds: cluster.unexpectedEnds }
  } finally {
    await cluster.stop()
  }
}

const arrange = async (cluster: NativeCluster, nodes: typeof IN_ROLES): Promise<void> => {
  const wanted = new Map(nodes)
  await Promise.all([...cluster.nodes.keys()].filter((name) => !wanted.has(name)).map((name) => cluster.stopNode(name)))
  for (const [name, roles] of nodes) if (!cluster.nodes.has(name)) await cluster.startNode(name, roles)
  await cluster.untilShared()
  // Streams are made and code is compiled with the first requests, which would make `usual` long.
  const load = new SteadyLoad(cluster, REQUESTS_PER_SECOND)
  await pause(WARM_UP_MS)
  await load.end()
  await untilEnded(load)
}

const once = async (cluster: NativeCluster, kill: Kill, repetition: number): Promise<Recovery> => {
  const load = new SteadyLoad(cluster, REQUESTS_PER_SECOND)
  await pause(STEADY_MS)
  const killedMs = Date.now()
  const heal = await doTo(cluster, kill, repetition)
  await pause(Math.max(0, killedMs + WATCH_MS_MIN - Date.now()))
  await load.end()
  await untilEnded(load)
  const recovery = recoveryOf(await load.followed(), killedMs)
  await heal()
  await cluster.untilShared()
  return recovery
}

const untilEnded = async (load: SteadyLoad): Promise<void> => {
  const until = performance.now() + END_MS_MAX
  const isDone = async () => (await load.followed().catch(() => [{ endedMs: undefined }])).every(({ endedMs }) => endedMs !== undefined)
  while (!(await isDone()) && performance.now() < until) await pause(LOOK_EVERY_MS)
}

const doTo = async (cluster: NativeCluster, kill: Kill, repetition: number): Promise<Heal> => {
  switch (kill) {
    case "whole-gateway": {
      // Alone: nobody can take over but its next life, which has to wait for the leases of the one before.
      const roles = await cluster.killNode("g1")
      await cluster.startNode("g1", roles)
      return async () => {}
    }
    case "listener-leader":
      return killHolder(cluster, "listener")
    case "coordinator":
      return killHolder(cluster, "partition")
    case "lane-owner":
      return killHolder(cluster, "lane")
    case "nats-server": {
      // Each in turn: one of them leads the streams.
      const server = [...cluster.nats.values()][repetition % cluster.nats.size]
      await server?.kill()
      return async () => server?.start()
    }
    case "postgres": {
      const { stop, start } = cluster.world.postgres
      await Effect.runPromise(Effect.andThen(stop("immediate"), start))
      return async () => {}
    }
  }
}

const killHolder = async (cluster: NativeCluster, kind: string): Promise<Heal> => {
  const name = mostOf(await leaseHolders(cluster.world.postgres.address), kind)
  if (name === undefined) throw new TypeError(`nobody holds a lease ${kind}/...`)
  const roles = await cluster.killNode(name)
  return async () => void (await cluster.startNode(name, roles))
}
