/**
 * What the gateway adds to a request when nothing else is going on: from detection to finalized, without the time inside
 * ports towards chain
 * and KMS nodes, and without the time that a transaction waits to be mined. Everything is real; one request at a time; the
 * chain mines at
 * once, and the newest block counts as final, so that no time passes that an operator's policy asks for.
 *
 *     node bench/idle.ts [--requests 120] [--bus nats|inProcess] [--states]
 */
import { parseArgs } from "node:util"
import { setTimeout as pause } from "node:timers/promises"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { WebSocketProvider } from "ethers"
import { devGateway } from "../bin/dev-gateway.ts"
import { startWorld } from "../bin/dev-world.ts"
import { gatewayLayer, startGateway } from "../bin/gateway.ts"
import { NATS_DEFAULTS } from "../src/adapters/nats/nats-settings.ts"
import { JOURNEY, type RequestState } from "../src/domain/journey.ts"
import { AccessList } from "../src/journey/2-acl-checked/access-list.port.ts"
import { CiphertextRegistry } from "../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { Committees } from "../src/journey/4-shares-collected/committee.port.ts"
import { ShareNodes } from "../src/journey/4-shares-collected/share-node.port.ts"
import { ResultContract } from "../src/journey/6-submitted/result-contract.port.ts"
import type { FactReached } from "../src/telemetry/telemetry.port.ts"
import { eventually } from "../test/support/eventually.ts"
import { NatsServer } from "../test/support/nats-server.ts"
import { bulkClient } from "./support/bulk-client.ts"
import type { BusName } from "./support/engine-rig.ts"
import { covered, PortClock, type Span } from "./support/port-clock.ts"
import { quantiles, type Quantiles } from "./support/statistics.ts"

export interface IdleFigures extends Quantiles {
  /** Added on the way to each state. */
  readonly states: Readonly<Record<string, Quantiles>>
  /** Detected to finalized, chain and nodes included. */
  readonly whole: Quantiles
  /** From the moment a block was announced to `detected`: half a poll period, and reading the block. */
  readonly detection: Quantiles
}

export interface IdleReport extends IdleFigures {
  readonly inProcessBus: IdleFigures
}

const WARM_UP = 10
const LANES = 1
const TIMEOUT_MS = 30_000
/** Between two requests everything comes to rest. */
const REST_MS = 60
const STATES: ReadonlyArray<RequestState> = [...JOURNEY.slice(1), "finalized"]

interface Reached extends FactReached {
  readonly atMs: number
}

/** Ports towards chain and KMS nodes, timed. */
const timedPorts = <R>(
  context: Context.Context<R | AccessList | CiphertextRegistry | Committees | ShareNodes | ResultContract>,
  clock: PortClock
) =>
  context.pipe(
    Context.add(AccessList, clock.timed("AccessList", Context.get(context, AccessList))),
    Context.add(CiphertextRegistry, clock.timed("CiphertextRegistry", Context.get(context, CiphertextRegistry))),
    Context.add(Committees, clock.timed("Committees", Context.get(context, Committees))),
    Context.add(ShareNodes, clock.timed("ShareNodes", Context.get(context, ShareNodes))),
    Context.add(ResultContract, clock.timed("ResultContract", Context.get(context, ResultContract)))
  )

export const measureIdleOn = async (bus: BusName, requests: number): Promise<IdleFigures> => {
  const scope = await Effect.runPromise(Scope.make())
  const nats = bus === "nats" ? await NatsServer.start() : undefined
  const world = await Effect.runPromise(Scope.provide(startWorld({ nodes: 3, threshold: 2, lanes: LANES }), scope))
  const socket = new WebSocketProvider(world.anvil.url.replace("http", "ws"), world.anvil.chainId, { staticNetwork: true })
  try {
    const client = await bulkClient(world)
    await client.prepare(requests + WARM_UP)
    const facts: Array<Reached> = []
    const blocksMs: Array<number> = []
    await socket.on("block", () => void blocksMs.push(performance.now()))
    const clock = new PortClock()
    const base = devGateway(world, { onFact: (fact) => void facts.push({ ...fact, atMs: performance.now() }) })
    const options = {
      ...base,
      bus: nats === undefined ? ("embedded" as const) : { ...NATS_DEFAULTS, servers: [nats.url] },
      chain: { ...base.chain, resultFinality: { type: "latest" as const } }
    }
    const run = Effect.gen(function* () {
      const context = yield* Layer.build(gatewayLayer(options))
      yield* startGateway(options).pipe(Effect.provide(timedPorts(context, clock)))
    })
    await Effect.runPromise(Scope.provide(run, scope))
    const measured: Array<Measured> = []
    for (let index = 0; index < requests + WARM_UP; index++) {
      facts.length = 0
      blocksMs.length = 0
      clock.spans.length = 0
      await client.raise(1)
      await eventually("a request is finalized", () => facts.some(({ to }) => to === "finalized"), TIMEOUT_MS)
      if (index >= WARM_UP) measured.push(judge(facts, clock.spans, blocksMs))
      await pause(REST_MS)
    }
    return reportOf(measured)
  } finally {
    await socket.destroy()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await nats?.dispose()
  }
}

interface Measured {
  readonly added: number
  readonly whole: number
  readonly detection: number
  readonly states: ReadonlyMap<RequestState, number>
}

const judge = (facts: ReadonlyArray<Reached>, spans: ReadonlyArray<Span>, blocksMs: ReadonlyArray<number>): Measured => {
  const at = (state: RequestState): number => facts.find(({ to }) => to === state)?.atMs ?? 0
  const elsewhere = [...spans, ...inMempool(spans, blocksMs)]
  const added = (fromMs: number, toMs: number) => toMs - fromMs - covered(elsewhere, fromMs, toMs)
  const states = new Map<RequestState, number>()
  let before = at("detected")
  for (const state of STATES) {
    states.set(state, added(before, at(state)))
    before = at(state)
  }
  return {
    added: added(at("detected"), at("finalized")),
    whole: at("finalized") - at("detected"),
    detection: at("detected") - (blocksMs[0] ?? at("detected")),
    states
  }
}

/** From the broadcast to the block that has it: the chain's time, not ours. */
const inMempool = (spans: ReadonlyArray<Span>, blocksMs: ReadonlyArray<number>): ReadonlyArray<Span> =>
  spans
    .filter(({ port }) => port === "ResultContract.broadcast")
    .flatMap(({ fromMs }) => {
      const toMs = blocksMs.find((block) => block > fromMs)
      return toMs === undefined ? [] : [{ port: "mempool", fromMs, toMs }]
    })

const reportOf = (measured: ReadonlyArray<Measured>): IdleFigures => ({
  ...quantiles(measured.map(({ added }) => added)),
  states: Object.fromEntries(STATES.map((state) => [state, quantiles(measured.map(({ states }) => states.get(state) ?? 0))])),
  whole: quantiles(measured.map(({ whole }) => whole)),
  detection: quantiles(measured.map(({ detection }) => detection))
})

export const measureIdle = async (requests: number): Promise<IdleReport> => ({
  ...(await measureIdleOn("nats", requests)),
  inProcessBus: await measureIdleOn("inProcess", requests)
})

if (import.meta.main) {
  const { values } = parseArgs({
    options: { requests: { type: "string", default: "120" }, bus: { type: "string", default: "nats" } }
  })
  console.log(JSON.stringify(await measureIdleOn(values.bus as BusName, Number(values.requests)), undefined, 2))
}
