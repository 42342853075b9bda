/**
 * What 1, 2, 4 gateway nodes carry, each a process, over NATS on one PostgreSQL: with steps that answer at once (the engine
 * alone), and the whole native path. On one machine they share its cores; what a node more costs stands in the CPU time of each
 * request.
 */
import { Effect, Exit, Scope } from "effect"
import { startPostgres } from "../../src/adapters/embedded/postgres-server.ts"
import { NativeCluster } from "../support/native-cluster.ts"
import { StubCluster } from "../support/stub-cluster.ts"
import { measureSustained, type Load, type Sustained } from "../support/sustained.ts"
import { openTransitionLog } from "../support/transition-log.ts"

export interface NodesFigures extends Sustained {
  readonly nodes: number
}

export interface NodesOptions {
  readonly counts: ReadonlyArray<number>
  readonly seconds: number
  /** Smaller piles, for a look whether everything works. */
  readonly pile?: number | undefined
}

/** Four nodes with four connections each and one more for leases: the default 100 would do, but not by much. */
const POSTGRES = { settings: { max_connections: "200" } }
const STUB: Omit<Load, "seconds"> = { warmUp: 1_000, pile: 6_000, tries: 3, firstShare: 0.85 }
const NATIVE: Omit<Load, "seconds"> = { warmUp: 300, pile: 500, tries: 3, firstShare: 0.95 }
const LANES = 2
/** Each is asked for in turn, and when all were, again. */
const HANDLES = 1_000

const loadOf = (usual: Omit<Load, "seconds">, { pile, seconds }: NodesOptions): Load =>
  pile === undefined ? { ...usual, seconds } : { ...usual, seconds, pile, warmUp: Math.min(pile, usual.warmUp) }

export const measureStubNodes = async (options: NodesOptions): Promise<ReadonlyArray<NodesFigures>> => {
  const scope = await Effect.runPromise(Scope.make())
  try {
    const postgres = await Effect.runPromise(Scope.provide(startPostgres(POSTGRES), scope))
    const cluster = await StubCluster.start(postgres.address)
    try {
      const figures: Array<NodesFigures> = []
      for (const nodes of options.counts) {
        await cluster.setNodes(nodes)
        figures.push({ nodes, ...(await measureSustained(cluster, cluster.log, loadOf(STUB, options))) })
      }
      return figures
    } finally {
      await cluster.stop()
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export const measureNativeNodes = async (options: NodesOptions): Promise<ReadonlyArray<NodesFigures>> => {
  const cluster = await NativeCluster.start({ natsServers: 1, lanes: LANES, handles: Math.min(HANDLES, options.pile ?? HANDLES) })
  try {
    const figures: Array<NodesFigures> = []
    for (const nodes of options.counts) {
      await cluster.setNodes(nodes)
      const log = await openTransitionLog(cluster.world.postgres.address)
      const rig = { raise: async (count: number) => void (await cluster.client.raise(count)), finished: log.finished }
      figures.push({ nodes, ...(await measureSustained(rig, log, loadOf(NATIVE, options))) })
      await log.close()
    }
    return figures
  } finally {
    await cluster.stop()
  }
}
