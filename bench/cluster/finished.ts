/**
 * What a request costs when millions of others lie finished in the tables, against empty ones: the same pile on two servers with
 * the same settings, in turns, so that company on the machine hurts both alike.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { startPostgres, type PostgresServer } from "../../src/adapters/embedded/postgres-server.ts"
import { cpuMsEach, cpuSeconds, type CpuSeconds } from "../support/cpu-time.ts"
import { fillFinished } from "../support/finished-requests.ts"
import { ask } from "../support/lease-holders.ts"
import { saturate } from "../support/open-loop.ts"
import { percentile, rounded } from "../support/statistics.ts"
import { StubCluster } from "../support/stub-cluster.ts"

export interface PileFigures {
  readonly requestsPerSecond: number
  /** For each request: milliseconds, by role. */
  readonly cpuMs: CpuSeconds
}

export interface FinishedReport {
  readonly finished: number
  readonly fillSeconds: number
  readonly databaseMiB: number
  readonly pile: number
  readonly rounds: number
  /** Medians. */
  readonly empty: PileFigures
  readonly full: PileFigures
  /** Full by empty. CPU of the whole cluster and of PostgreSQL alone, and the time that a pile takes. */
  readonly ratio: { readonly cpu: number; readonly postgresCpu: number; readonly time: number }
}

export const FINISHED_RATIO_AIM = 1.1
const ROUNDS = 5
const PILE = 3_000
const WARM_UP = 500
const MIB = 1024 * 1024
/** For filling alone: a crash may lose it all, and then it is filled again. */
const FILLING = {
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
  shared_buffers: "512MB",
  maintenance_work_mem: "1GB",
  autovacuum: "off"
}

export const measureFinished = async (finished: number, pile = PILE): Promise<FinishedReport> => {
  const scope = await Effect.runPromise(Scope.make())
  const directory = await mkdtemp(join(tmpdir(), "portcullis-bench-full-"))
  await Effect.runPromise(Scope.addFinalizer(scope, Effect.promise(() => rm(directory, { recursive: true, force: true }))))
  try {
    const fillSeconds = await fill(directory, finished)
    const server = (options: Parameters<typeof startPostgres>[0]) => Effect.runPromise(Scope.provide(startPostgres(options), scope))
    const full = await server({ directory })
    const empty = await server({})
    const [size] = await ask<{ bytes: number }>(full.address, "SELECT pg_database_size(current_database())::float8 AS bytes")
    const piles = await inTurns({ empty, full }, pile)
    const [of, against] = [middle(piles.full), middle(piles.empty)]
    return {
      finished,
      fillSeconds,
      databaseMiB: Math.round((size?.bytes ?? 0) / MIB),
      pile,
      rounds: ROUNDS,
      empty: against,
      full: of,
      ratio: {
        cpu: rounded(total(of.cpuMs) / total(against.cpuMs)),
        postgresCpu: rounded((of.cpuMs["postgres"] ?? 0) / (against.cpuMs["postgres"] ?? Number.NaN)),
        time: rounded(against.requestsPerSecond / of.requestsPerSecond)
      }
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** The server that is filled is stopped, with a checkpoint, and started again as any other. */
const fill = async (directory: string, finished: number): Promise<number> => {
  const filling = startPostgres({ directory, settings: FILLING })
  const say = (text: string) => void process.stderr.write(`${new Date().toISOString()} ${text}\n`)
  return Effect.runPromise(
    Effect.scoped(Effect.flatMap(filling, ({ address }) => Effect.promise(() => fillFinished(address, finished, say))))
  )
}

const inTurns = async (servers: Readonly<Record<"empty" | "full", PostgresServer>>, pile: number) => {
  const clusters = { empty: await StubCluster.start(servers.empty.address), full: await StubCluster.start(servers.full.address) }
  const piles: Record<"empty" | "full", Array<PileFigures>> = { empty: [], full: [] }
  try {
    for (let round = 0; round < ROUNDS; round++) {
      // Whoever comes first comes second the next time.
      for (const name of round % 2 === 0 ? (["empty", "full"] as const) : (["full", "empty"] as const)) {
        const cluster = clusters[name]
        await cluster.setNodes(1)
        await saturate(cluster, Math.min(pile, WARM_UP))
        const before = cpuSeconds()
        const requestsPerSecond = await saturate(cluster, pile)
        piles[name].push({ requestsPerSecond, cpuMs: cpuMsEach(before, cpuSeconds(), pile) })
        await cluster.setNodes(0)
      }
    }
  } finally {
    await clusters.empty.stop()
    await clusters.full.stop()
  }
  return piles
}

const total = (cpuMs: CpuSeconds): number => Object.values(cpuMs).reduce((sum, each) => sum + each, 0)

const middle = (piles: ReadonlyArray<PileFigures>): PileFigures => {
  const median = (values: ReadonlyArray<number>): number => rounded(percentile(values, 0.5))
  const roles = Object.keys(piles[0]?.cpuMs ?? {})
  return {
    requestsPerSecond: median(piles.map(({ requestsPerSecond }) => requestsPerSecond)),
    cpuMs: Object.fromEntries(roles.map((role) => [role, median(piles.map(({ cpuMs }) => cpuMs[role] ?? 0))]))
  }
}
