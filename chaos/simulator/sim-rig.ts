/** The simulator as a rig: what chaos/rig.ts promises, in virtual time. */
import { Clock, Context, Effect } from "effect"
import { ENDS, isEnd, type End } from "../../src/domain/journey.ts"
import { AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { laneNameOf, type Records } from "../../bin/verify/records.ts"
import { targetsOf, type Rig, type RigEvent, type RigOptions, type Settled } from "../rig.ts"
import { Connection } from "./ledger/connection.ts"
import { memoryLedger } from "./ledger/memory-ledger.ts"
import { sealerOf } from "./ledger/sealer.ts"
import { requestTable } from "./ledger/tables.ts"
import { anyRequest } from "./any-request.ts"
import { simLevers } from "./sim-levers.ts"
import { SimWorld } from "./sim-world.ts"
import type { Mutation } from "./surroundings.ts"

/** The chain takes a request within a block or two. */
const RAISE_MS_MAX = 60_000
const EVERYTHING = 1_000_000

export interface SimRig extends Rig<Records> {
  readonly world: SimWorld
  /** Called when the faults are over and all that is left is to wait. */
  readonly beforePeace: (end: () => void) => void
}

export interface SimRigOptions extends RigOptions {
  readonly mutation?: Mutation
  /** Requests of every kind, those that deserve a no included; without it all of them deserve a result. */
  readonly isVaried?: boolean
}

/** A line of the history as the report knows it: `0x1234 detected -> acl-checked (2)` is a fact. */
const eventOf = (what: string): Pick<RigEvent, "kind" | "text"> => {
  const [, id, to] = /^(0x[0-9a-f]+) \S+ -> (\S+) /.exec(what) ?? []
  if (id !== undefined && to !== undefined) return { kind: "fact", text: `${to} ${id}` }
  return { kind: /^(?:warns|pages):/.test(what) ? "log" : "phase", text: what }
}

export const startSimRig = async (options: SimRigOptions): Promise<SimRig> => {
  const { shape, seed, onEvent, mutation, isVaried = false } = options
  const ends: Array<() => void> = []
  const world = new SimWorld({ seed, shape, ...(mutation === undefined ? {} : { mutation }) })
  const notes: Array<RigEvent> = []
  world.history.onLine = ({ atMs, who, what }) => {
    if (who === "campaign") return
    const event: RigEvent = { atMs, node: who, ...eventOf(what) }
    notes.push(event)
    onEvent?.(event)
  }
  return {
    name: "sim",
    world,
    beforePeace: (end) => void ends.push(end),
    shape,
    targets: targetsOf(shape),
    levers: simLevers(world),
    nowMs: () => world.nowMs,
    pass: async (ms) => void world.pass(ms),
    raise: async (count, { inOneBlock = false } = {}) => {
      const asked = Array.from({ length: count }, () => (isVaried ? anyRequest(world) : world.aRequest()))
      const ids = asked.map((expected) => world.ask(expected))
      if (inOneBlock) world.pass(RAISE_MS_MAX, () => ids.every((id) => world.chain.knows(id)))
      return ids
    },
    settle: async (boundMs) => {
      for (const end of ends) end()
      const isSettled = () => [...world.expected.keys()].every((id) => world.isOver(id))
      world.pass(boundMs, isSettled)
      return settledOf(world)
    },
    records: async () => recordsOf(world),
    events: () => notes,
    note: (note) => {
      const event = { ...note, atMs: world.nowMs }
      notes.push(event)
      world.history.tell("campaign", `${note.node} ${note.kind} ${note.text}`)
      onEvent?.(event)
    },
    stop: async () => undefined
  }
}

export const settledOf = (world: SimWorld): Settled => {
  const ended = Object.fromEntries(ENDS.map((end) => [end, 0])) as Record<End, number>
  const open: Array<Settled["open"][number]> = []
  for (const id of world.expected.keys()) {
    const state = world.isForgotten(id) ? "orphaned" : world.stateOf(id)
    if (state !== undefined && isEnd(state)) ended[state]++
    else open.push({ id, state })
  }
  return { ended, open }
}

/** What the checkers read: the true chain, the ledger behind everybody's back, the KMS nodes' own logs. */
export const recordsOf = (world: SimWorld): Records => {
  const connection = new Connection(world.database, "checker")
  const ledger = memoryLedger(connection, sealerOf({ node: "checker", key: "simulated" }))
  const wasUp = world.database.isUp
  world.database.start()
  const ids = world.database.table(requestTable).all().map(({ id }) => id)
  const { requests, lanes, cursor, lostUntilMs } = Effect.runSync(
    Effect.gen(function* () {
      const audit = yield* AuditLedger
      const detection = yield* DetectionLedger
      return {
        requests: yield* audit.requests(ids),
        lanes: yield* audit.lanes(EVERYTHING),
        lostUntilMs: yield* audit.lostUntilMs,
        cursor: yield* detection.cursor(world.chainId)
      }
    }).pipe(Effect.provide(ledger), Effect.provideService(Clock.Clock, Context.get(world.process.context, Clock.Clock)))
  )
  if (!wasUp) world.database.stop()
  const finalBlock = world.chain.finalizedNumber
  const blocks = world.chain.canonical().filter(({ number }) => number <= finalBlock)
  return {
    chain: {
      requested: blocks
        .filter(({ number }) => number <= (cursor?.number ?? -1))
        .flatMap(({ number, opened }) => opened.map(({ id }) => ({ requestId: id, blockNumber: number }))),
      fulfilled: blocks.flatMap(({ number, effects }) => effects.map(({ requestId, txHash }) => ({ requestId, txHash, blockNumber: number }))),
      finalBlock,
      finalNonces: new Map(lanes.map(({ lane }) => [laneNameOf(lane), blocks.at(-1)?.state.nonces.get(lane.address) ?? 0])),
      cursorBlock: cursor?.number ?? null
    },
    requests,
    lanes,
    nodes: world.kmsNodes.map(({ id, log }) => ({ node: id, answers: log })),
    lostUntilMs,
    thresholds: new Map([[world.committee.record.epoch, world.committee.record.threshold]])
  }
}
