/**
 * Whether the memory of gateway nodes stays flat: resident memory and heap of each, every few seconds under a steady load on the
 * whole native path, and the line through them once everything is warm.
 */
import { setTimeout as pause } from "node:timers/promises"
import { NativeCluster } from "../support/native-cluster.ts"
import { byStretch, growthOf, lineThrough, type Growth, type Point } from "../support/slope.ts"
import { percentile, rounded } from "../support/statistics.ts"
import { openTransitionLog } from "../support/transition-log.ts"

export interface SoakFigures {
  /** By the fitted line, at the end of the warm-up and at the end. */
  readonly fromMiB: number
  readonly toMiB: number
  readonly mibPerHour: number
  /** Standard error of it. */
  readonly mibPerHourError: number
  readonly growth: Growth
}

export interface SoakNode {
  readonly node: string
  readonly rss: SoakFigures
  readonly heap: SoakFigures
}

export interface SoakReport {
  readonly minutes: number
  readonly warmUpMinutes: number
  readonly requestsPerSecond: number
  readonly raised: number
  /** By the end, which nobody waits after. Far fewer than raised: the load was more than is carried, and what waits takes memory. */
  readonly finalized: number
  readonly mibPerHourMax: number
  readonly nodes: ReadonlyArray<SoakNode>
  readonly isFlat: boolean
  readonly unexpectedEnds: ReadonlyArray<string>
}

/** More than noise, and still less than half a gibibyte in a day: a node that is restarted for its releases never notices. */
export const FLAT_MIB_PER_HOUR_MAX = 20
/** As docs/cluster.md recommends: a heap without a bound is collected too seldom for its floor to be seen, and a leak under one ends the process,
 * which the report says. */
const ENVIRONMENT = { NODE_OPTIONS: "--max-semi-space-size=4 --max-old-space-size=192", MALLOC_ARENA_MAX: "2" }
const NODES = 3
const LANES = 2
const HANDLES = 500
/** A tenth of what the machine carries: memory is looked at, not speed. */
const REQUESTS_PER_SECOND = 5
const TICK_MS = 1_000
const SAMPLE_MS = 5_000
/** Caches fill and code is compiled in this part of the time; it is left out. */
const WARM_UP_SHARE = 1 / 3
/** Of the time that counts: one point each. A heap's is its lowest, which is what collections leave; resident memory's is its median. */
const STRETCHES = 20
const MS_PER_HOUR = 3_600_000
const MIB = 1024 * 1024

/** x in milliseconds since the start, y in MiB; what was sampled before `warmUpMs` is left out. */
export const figuresOf = (points: ReadonlyArray<Point>, warmUpMs: number, of: (ys: ReadonlyArray<number>) => number): SoakFigures => {
  const warm = points.filter(({ x }) => x >= warmUpMs)
  const line = lineThrough(byStretch(warm, STRETCHES, of))
  const perHour = { slope: line.slope * MS_PER_HOUR, slopeError: line.slopeError * MS_PER_HOUR }
  return {
    fromMiB: rounded(line.first),
    toMiB: rounded(line.last),
    mibPerHour: rounded(perHour.slope),
    mibPerHourError: rounded(perHour.slopeError),
    growth: growthOf(perHour, FLAT_MIB_PER_HOUR_MAX)
  }
}

const lowest = (values: ReadonlyArray<number>): number => Math.min(...values)
const median = (values: ReadonlyArray<number>): number => percentile(values, 0.5)

export const measureSoak = async (minutes: number): Promise<SoakReport> => {
  const cluster = await NativeCluster.start({ natsServers: 1, lanes: LANES, handles: HANDLES, environment: ENVIRONMENT })
  try {
    await cluster.setNodes(NODES)
    const samples = new Map([...cluster.nodes.keys()].map((name) => [name, { rss: [] as Array<Point>, heap: [] as Array<Point> }]))
    const lengthMs = minutes * 60_000
    const startMs = performance.now()
    const passed = (): number => performance.now() - startMs
    let raised = 0
    const raising = (async () => {
      for (let tick = 1; passed() < lengthMs; tick++) {
        await cluster.client.raise(REQUESTS_PER_SECOND)
        raised += REQUESTS_PER_SECOND
        await pause(Math.max(0, tick * TICK_MS - passed()))
      }
    })()
    const sampling = (async () => {
      for (let tick = 1; passed() < lengthMs; tick++) {
        for (const [name, { rss, heap }] of samples) {
          // Neither is there while a node that has ended is started again.
          const used = await cluster.nodes.get(name)?.heapUsed().catch(() => undefined)
          if (used === undefined) continue
          heap.push({ x: passed(), y: used / MIB })
          rss.push({ x: passed(), y: cluster.nodes.get(name)?.memory().rss ?? Number.NaN })
        }
        await pause(Math.max(0, tick * SAMPLE_MS - passed()))
      }
    })()
    await Promise.all([raising, sampling])
    const log = await openTransitionLog(cluster.world.postgres.address)
    const finalized = await log.finished()
    await log.close()
    const warmUpMs = lengthMs * WARM_UP_SHARE
    const nodes = [...samples].map(([node, { rss, heap }]) => ({
      node,
      rss: figuresOf(rss, warmUpMs, median),
      heap: figuresOf(heap, warmUpMs, lowest)
    }))
    return {
      minutes,
      warmUpMinutes: rounded(minutes * WARM_UP_SHARE),
      requestsPerSecond: REQUESTS_PER_SECOND,
      raised,
      finalized,
      mibPerHourMax: FLAT_MIB_PER_HOUR_MAX,
      nodes,
      isFlat: cluster.unexpectedEnds.length === 0 && nodes.every(({ rss, heap }) => rss.growth === "flat" && heap.growth === "flat"),
      unexpectedEnds: cluster.unexpectedEnds
    }
  } finally {
    await cluster.stop()
  }
}
