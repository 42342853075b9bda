/**
 * How much each bus carries: envelopes of 64 outcomes (about 20 KB) and of one work item (about 120 bytes), published with many in
 * flight and consumed, decoded and acknowledged in the same process; and how long one message takes on an idle bus. `--json` for
 * machines.
 */
import { Effect, type Layer, References } from "effect"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { inProcessBus } from "../src/adapters/embedded/in-process-bus.layer.ts"
import { natsBus } from "../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS } from "../src/adapters/nats/nats-settings.ts"
import { toHex } from "../src/domain/hex.ts"
import { outcomeSubject, workSubject } from "../src/domain/journey.ts"
import { ITEMS_PER_ENVELOPE_MAX } from "../src/domain/limits.ts"
import type { OutcomeItem } from "../src/domain/outcome.ts"
import { Bus, type Verdict } from "../src/messaging/bus.port.ts"
import { decodeOutcomes, decodeWork } from "../src/messaging/envelope.ts"
import { packOutcomes, packWork } from "../src/messaging/pack.ts"
import { NatsServer } from "../test/support/nats-server.ts"

const ACK: Verdict = { type: "ack" }
const CONCURRENCY = 32
const IN_FLIGHT = 256
const PINGS = 500
const hash = () => toHex(randomBytes(32))

interface Load {
  readonly subject: string
  readonly itemsPerMessage: number
  readonly body: Uint8Array
  readonly decode: (body: Uint8Array) => Effect.Effect<unknown, unknown>
}

export interface BusFigures {
  readonly messagesPerSecond: number
  readonly itemsPerSecond: number
}

export interface BusReport {
  readonly oneWorkItem: BusFigures
  readonly outcomesOf64: BusFigures
  /** From publish to the start of the handler, one message at a time. */
  readonly idleMs: { readonly p50: number; readonly p99: number }
}

const outcomeItems = Array.from({ length: ITEMS_PER_ENVELOPE_MAX }, (_, version): OutcomeItem => ({
  requestId: hash(),
  version,
  reached: "shares-collected",
  outcome: { type: "threshold-verified", root: hash(), resultHash: hash(), nodes: [1, 2], liars: [] }
}))

const oneBody = (packed: ReadonlyArray<{ readonly body: Uint8Array }>) => packed[0]?.body ?? new Uint8Array()
const WORK: Load = {
  subject: workSubject("detected"),
  itemsPerMessage: 1,
  body: oneBody(packWork([{ requestId: hash(), version: 1 }])),
  decode: decodeWork
}
const OUTCOMES: Load = {
  subject: outcomeSubject(0),
  itemsPerMessage: ITEMS_PER_ENVELOPE_MAX,
  body: oneBody(packOutcomes(outcomeItems)),
  decode: decodeOutcomes
}

/** Publishes and consumes `messages` at the same time; the clock stops when the last one has been handled. */
const carry = (load: Load, messages: number) =>
  Effect.gen(function*() {
    const bus = yield* Bus
    let handled = 0
    const done = Promise.withResolvers<void>()
    yield* bus.consume(load.subject, { concurrency: CONCURRENCY }, ({ body }) =>
      Effect.map(Effect.orDie(load.decode(body)), () => {
        if (++handled === messages) done.resolve()
        return ACK
      }))
    const startedMs = performance.now()
    yield* Effect.forEach(
      Array.from({ length: messages }, (_, index) => index),
      (index) => bus.publish(load.subject, load.body, `${startedMs}:${index}`),
      { concurrency: IN_FLIGHT, discard: true }
    )
    yield* Effect.promise(() => done.promise)
    const messagesPerSecond = Math.round((messages * 1_000) / (performance.now() - startedMs))
    return { messagesPerSecond, itemsPerSecond: messagesPerSecond * load.itemsPerMessage }
  }).pipe(Effect.scoped)

const idle = Effect.gen(function*() {
  const bus = yield* Bus
  let arrived = Promise.withResolvers<number>()
  yield* bus.consume(WORK.subject, { concurrency: 1 }, () =>
    Effect.sync(() => {
      arrived.resolve(performance.now())
      return ACK
    }))
  const tookMs: Array<number> = []
  for (let ping = 0; ping < PINGS; ping++) {
    arrived = Promise.withResolvers<number>()
    const sentMs = performance.now()
    yield* bus.publish(WORK.subject, WORK.body, `idle:${ping}`)
    tookMs.push((yield* Effect.promise(() => arrived.promise)) - sentMs)
  }
  tookMs.sort((a, b) => a - b)
  const at = (share: number) => Math.round((tookMs[Math.floor(tookMs.length * share)] ?? 0) * 1_000) / 1_000
  return { p50: at(0.5), p99: at(0.99) }
}).pipe(Effect.scoped)

const measure = (layer: Layer.Layer<Bus>, scale: number): Promise<BusReport> =>
  Effect.gen(function*() {
    yield* carry(WORK, 2_000)
    yield* carry(OUTCOMES, 200)
    return {
      oneWorkItem: yield* carry(WORK, 20_000 * scale),
      outcomesOf64: yield* carry(OUTCOMES, 2_000 * scale),
      idleMs: yield* idle
    }
  }).pipe(Effect.provide(layer), Effect.provideService(References.MinimumLogLevel, "Error"), Effect.orDie, Effect.runPromise)

/** Starts its own nats-server with file storage and one copy. */
export const measureBuses = async (): Promise<{ readonly inProcess: BusReport; readonly nats: BusReport }> => {
  const inProcess = await measure(inProcessBus, 5)
  const server = await NatsServer.start()
  try {
    return { inProcess, nats: await measure(natsBus({ ...NATS_DEFAULTS, servers: [server.url] }), 1) }
  } finally {
    await server.dispose()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const report = await measureBuses()
  if (process.argv.includes("--json")) console.log(JSON.stringify(report))
  else {
    console.table(Object.fromEntries(Object.entries(report).map(([bus, of]) => [bus, {
      "messages/s, one work item": of.oneWorkItem.messagesPerSecond,
      "messages/s, 64 outcomes": of.outcomesOf64.messagesPerSecond,
      "items/s, 64 outcomes": of.outcomesOf64.itemsPerSecond,
      "idle p50 ms": of.idleMs.p50,
      "idle p99 ms": of.idleMs.p99
    }])))
  }
}
