/**
 * Every place where a gateway can be killed on the way of one request: before and after each statement, message and remote call, in each
 * state of the request. A first run writes the places down; each further run of the same seed is the same history up to its place, where
 * the gateway dies: its fibers and memory are gone, what it has done outside stays done. Another process starts, and the end is checked.
 */
import { check } from "../../bin/verify/check.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { CrashPlace, CrashPoint, CrashWith } from "../crash-points.ts"
import { USUAL_SHAPE, type ClusterShape } from "../rig.ts"
import type { DatabaseCopy } from "./ledger/memory-database.ts"
import { laneSlotTable } from "./ledger/tables.ts"
import { startSimRig, type SimRig } from "./sim-rig.ts"
import type { Mutation } from "./surroundings.ts"

/** One time that a gateway comes by a place. */
export interface CrashSite extends CrashPlace {
  readonly node: string
  /** Whom it talks to: postgres, nats, store, r1, k1.. */
  readonly service: string
  /** The how-many-th time, from 1. */
  readonly nth: number
}

export interface CrashRun {
  readonly hasCrashed: boolean
  /** What is wrong at the end; empty when nothing is. */
  readonly wrong: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
}

const SHAPE: ClusterShape = { ...USUAL_SHAPE, gateways: 1, kmsNodes: 3, threshold: 2, natsServers: 1, rpcEndpoints: 1, lanes: 1 }
const SEED = 7
const NOT_ASKED = "not asked yet"
/** Done all the time, whatever becomes of the request: tried once without a request and once with one, not in each of its states. */
export const ALWAYS: ReadonlySet<string> = new Set([
  ...["lane-pull", "lane-open", "lane-next-nonce", "signals", "claim-overdue", "put-off-owed", "backlog", "workload", "timeline", "oldest-overdue"],
  ...["ping", "read the final block", "read the newest block", "beat", "read-leases", "unreadable", "remember"]
])
/** A gateway is up, and owns everything, after so long. */
const START_MS = 3_000
/** Whoever supervises processes starts another one. */
const RESTART_MS = 1_000
/** Longer than a lease (LEASE_MS): others have taken over when it wakes up. */
const FROZEN_MS = 25_000
/** Blocks that go: fewer than are final. */
const REORG_DEPTH = 3
/** How much of the past the promoted database lacks, and how often a standby is copied. */
const BEHIND_MS = 300
const COPY_EACH_MS = 100
/** A lease, a sweep, a second try of everything, and finality: far less. */
const SETTLE_MS = 240_000
/** Until every nonce is final, and whoever woke up late has found out. */
const AFTERWARDS_MS = 30_000

export const nameOf = ({ node, moment, service, what, during, nth }: CrashSite): string =>
  `${node} ${moment} "${what}" (${service}), request ${during}${nth === 1 ? "" : `, time ${nth}`}`

/** A frozen gateway is only dangerous where another goes on. */
const shapeFor = (how: CrashWith): ClusterShape => (how === "frozen" ? { ...SHAPE, gateways: 2 } : SHAPE)

const duringOf = ({ world }: SimRig, id: RequestId | undefined): string => {
  const state = id === undefined ? NOT_ASKED : (world.stateOf(id) ?? "not detected yet")
  const slot = world.database.table(laneSlotTable).all().at(-1)
  return slot === undefined ? state : `${state}, transaction ${String((JSON.parse(slot.snapshot) as { readonly value?: unknown }).value)}`
}

const openSlotsOf = ({ world }: SimRig): number => world.database.table(laneSlotTable).all().filter(({ isFinal }) => !isFinal).length

/** One request from its block to its end; `onSite` may crash the gateway. */
const run = async (
  shape: ClusterShape,
  mutation: Mutation | undefined,
  onSite: (rig: SimRig, site: CrashSite) => void
): Promise<Omit<CrashRun, "hasCrashed">> => {
  const trace: Array<string> = []
  const rig = await startSimRig({
    ...{ shape, seed: SEED, requestsMax: 1, onEvent: ({ atMs, node, text }) => void trace.push(`${atMs} ${node} ${text}`) },
    ...(mutation === undefined ? {} : { mutation })
  })
  const { world } = rig
  const times = new Map<string, number>()
  let id: RequestId | undefined
  world.onMoment = ({ name: node }, moment, service, called) => {
    const what = called.replace(/outcome\.\d+$/, "outcome")
    const place = { node, moment, service, what, during: duringOf(rig, id) }
    const key = JSON.stringify(place)
    const nth = (times.get(key) ?? 0) + 1
    times.set(key, nth)
    onSite(rig, { ...place, nth })
  }
  await rig.pass(START_MS)
  ;[id] = await rig.raise(1)
  const { ended, open } = await rig.settle(SETTLE_MS)
  world.pass(AFTERWARDS_MS, () => openSlotsOf(rig) === 0)
  const { violations } = check(await rig.records())
  return {
    trace,
    wrong: [
      ...open.map(({ state }) => `the request is still ${state ?? "unknown"}`),
      ...(ended.finalized + open.length === 1 ? [] : [`it ended otherwise: ${JSON.stringify(ended)}`]),
      ...violations.map((violation) => `${violation.check} ${violation.subject}: ${violation.what}`),
      ...(openSlotsOf(rig) === 0 ? [] : ["a nonce is never final"]),
      ...world.died.map(({ node, what }) => `an actor of ${node} died: ${what}`)
    ]
  }
}

/**
 * In the order in which a request comes by; each the first time, and the last time where there are several: what is read again and again
 * is read once with news in it.
 */
export const listCrashSites = async (how: CrashWith = "killed", mutation?: Mutation): Promise<ReadonlyArray<CrashSite>> => {
  const first = new Map<string, CrashSite>()
  const last = new Map<string, CrashSite>()
  await run(shapeFor(how), mutation, (_rig, site) => {
    const isAsked = site.during !== NOT_ASKED
    const name = ALWAYS.has(site.what) ? nameOf({ ...site, nth: 1, during: isAsked ? "under way" : NOT_ASKED }) : nameOf({ ...site, nth: 1 })
    if (!first.has(name)) first.set(name, site)
    else if (!ALWAYS.has(site.what)) last.set(name, site)
  })
  return [...first].flatMap(([name, site]) => [site, ...(last.has(name) ? [last.get(name)!] : [])])
}

/** The sites at which a crash point is tried. */
export const sitesOf = ({ places }: CrashPoint, sites: ReadonlyArray<CrashSite>): ReadonlyArray<CrashSite> =>
  sites.filter((site) => places.some(({ moment, what, during }) => moment === site.moment && what === site.what && during === site.during))

const standby = ({ world }: SimRig): { readonly copyOf: (ageMs: number) => DatabaseCopy | undefined } => {
  const copies: Array<{ readonly atMs: number; readonly copy: DatabaseCopy }> = []
  const keep = (): void => {
    copies.push({ atMs: world.nowMs, copy: world.database.copy() })
    world.loop.after(world.process, COPY_EACH_MS, keep)
  }
  keep()
  return { copyOf: (ageMs) => (copies.findLast(({ atMs }) => atMs <= world.nowMs - ageMs) ?? copies[0])?.copy }
}

/** The gateway dies, or stands still, when it comes by. */
export const crashAt = async (site: CrashSite, how: CrashWith = "killed", mutation?: Mutation): Promise<CrashRun> => {
  const name = nameOf(site)
  let hasCrashed = false
  let copies: ReturnType<typeof standby> | undefined
  const outcome = await run(shapeFor(how), mutation, (rig, here) => {
    const { world } = rig
    if (how === "older database") copies ??= standby(rig)
    if (hasCrashed || nameOf(here) !== name) return
    hasCrashed = true
    if (how === "frozen") {
      const process = world.gateways.get(here.node)?.process
      process?.freeze()
      world.loop.after(world.process, FROZEN_MS, () => process?.thaw())
      return
    }
    world.kill(here.node)
    world.loop.after(world.process, RESTART_MS, () => world.start(here.node))
    if (how === "block gone") world.chain.reorganise(REORG_DEPTH, 0)
    if (how === "bus wiped") world.broker.wipe()
    const copy = copies?.copyOf(BEHIND_MS)
    if (copy !== undefined) world.database.promote(copy)
  })
  return { hasCrashed, ...outcome }
}
