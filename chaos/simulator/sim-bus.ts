/** A broker in memory, between any number of processes: keeps what actors may rely on (bus.laws.ts), and breaks everything else when it is
 * told to. It confirms and forgets, delivers twice, late, in another order, comes back with an older store or with an empty one. */
import assert from "node:assert/strict"
import { Effect, Exit, type Fiber, Layer, Option } from "effect"
import { ACK_WAIT_MS, DEFECT_NAK_MS, DELIVERIES_MAX, PARKED_KEPT_MAX } from "../../src/messaging/bus-limits.ts"
import type { Standing } from "../../src/ledger/standing.ts"
import { Witness } from "../../src/ledger/witness.port.ts"
import { Bus, BusUnavailable, type Delivery, type Verdict } from "../../src/messaging/bus.port.ts"
import { parkedId, ParkedMessages, type ParkedMessage } from "../../src/messaging/parked-messages.port.ts"
import { assertPublishable } from "../../src/messaging/publishable.ts"
import { verdictOf } from "../../src/messaging/verdict-of.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import type { Chance } from "./chance.ts"
import type { Process } from "./event-loop.ts"
import type { History } from "./history.ts"
import type { Link } from "./remote-call.ts"

interface Message {
  readonly subject: string
  readonly body: Uint8Array
  deliveries: number
}

interface Consumer {
  readonly process: Process
  readonly concurrency: number
  readonly faults: MessageShares
  /** Whether what is sent to it (`back`), or what it sends, arrives now. */
  readonly carries: (way: "there" | "back") => boolean
  readonly onParked: () => void
  /** Runs the handler in its own process. */
  readonly start: (delivery: Delivery, over: (verdict: Verdict) => void) => void
  inFlight: number
}

/** How many deliveries to one process are hurt in this way, 0 to 1. */
export interface MessageShares {
  duplicate: number
  reorder: number
  lose: number
}

export const noMessageShares = (): MessageShares => ({ duplicate: 0, reorder: 0, lose: 0 })

/** What a restored backup brings back. */
export interface BusBackup {
  readonly waiting: ReadonlyArray<Message>
  readonly witnessed: Standing | null
}

/** How much later a message comes that others overtake. */
const REORDER_MS_MAX = 3_000

export class Broker {
  readonly world: Process
  private readonly history: History
  private readonly chance: Chance
  private readonly waiting = new Map<string, Array<Message>>()
  private readonly consumers = new Map<string, Array<Consumer>>()
  private readonly outstanding = new Set<Message>()
  parked: ReadonlyArray<ParkedMessage> = []
  parkedCount = 0
  deliveredCount = 0
  /** How far the database had come, as it was told last. */
  witnessed: Standing | null = null
  /** Grows with every store that was lost: whatever is still under way belongs to another life. */
  private life = 0

  constructor(world: Process, history: History, chance: Chance) {
    this.world = world
    this.history = history
    this.chance = chance
  }

  publish(subject: string, body: Uint8Array): void {
    this.put({ subject, body, deliveries: 0 })
  }

  subscribe(subject: string, consumer: Consumer): () => void {
    const all = this.consumers.get(subject) ?? []
    this.consumers.set(subject, all)
    all.push(consumer)
    this.turn(subject)
    return () => void all.splice(all.indexOf(consumer), 1)
  }

  /** A process is gone: it pulls no more. What it was given comes back when nobody has settled it for long enough. */
  forget(process: Process): void {
    for (const [subject, all] of this.consumers) this.consumers.set(subject, all.filter((consumer) => consumer.process !== process))
  }

  remember(standing: Standing): Standing | null {
    const before = this.witnessed
    this.witnessed = standing
    return before
  }

  wipe(): void {
    this.life++
    this.waiting.clear()
    this.outstanding.clear()
    this.witnessed = null
    this.history.sometimes("bus wiped")
  }

  backup(): BusBackup {
    const waiting = [...[...this.waiting.values()].flat(), ...this.outstanding].map((message) => ({ ...message }))
    return { waiting, witnessed: this.witnessed }
  }

  /** What was settled since comes back, what was published since never was. */
  restore(backup: BusBackup): void {
    this.life++
    this.waiting.clear()
    this.outstanding.clear()
    this.witnessed = backup.witnessed
    this.history.sometimes("bus rolled back")
    for (const message of backup.waiting) this.put({ ...message })
  }

  private put(message: Message): void {
    const line = this.waiting.get(message.subject) ?? []
    this.waiting.set(message.subject, line)
    line.push(message)
    this.world.loop.soon(this.world, () => this.turn(message.subject))
  }

  private turn(subject: string): void {
    const line = this.waiting.get(subject)
    for (;;) {
      if (line === undefined || line.length === 0) return
      const all = this.consumers.get(subject) ?? []
      const index = all.findIndex(({ inFlight, concurrency }) => inFlight < concurrency)
      if (index < 0) return
      const [consumer] = all.splice(index, 1)
      all.push(consumer!)
      this.deliver(consumer!, line.shift()!)
    }
  }

  private deliver(consumer: Consumer, message: Message): void {
    const { faults } = consumer
    const [isLost, isDoubled, isLate] = [this.chance.happens(faults.lose), this.chance.happens(faults.duplicate), this.chance.happens(faults.reorder)]
    if (isLost) return // as good as settled: nobody will hear of it again
    if (isDoubled) {
      this.history.sometimes("message delivered twice")
      this.put({ ...message })
    }
    const life = this.life
    message.deliveries++
    this.deliveredCount++
    consumer.inFlight++
    this.outstanding.add(message)
    const has = { arrived: consumer.carries("back"), ended: false, settled: false }
    const release = (): void => {
      if (!has.ended) consumer.inFlight--
      has.ended = true
    }
    const settle = (verdict: Verdict): void => {
      if (has.settled) return
      has.settled = true
      release()
      this.outstanding.delete(message)
      if (life === this.life) this.settle(message, verdict, consumer)
      this.turn(message.subject)
    }
    const giveAgain = (): void => {
      if (has.settled) return
      this.history.sometimes("message delivered twice")
      settle({ type: "nak", delayMs: 0 })
    }
    const start = (): void =>
      consumer.start({ subject: message.subject, body: message.body, deliveries: message.deliveries }, (verdict) => {
        if (consumer.carries("there")) return settle(verdict)
        // It is done, and nobody will know.
        this.history.sometimes("verdict on a message lost")
        release()
        this.world.loop.after(this.world, ACK_WAIT_MS, giveAgain)
        this.turn(message.subject)
      })
    this.world.loop.after(this.world, ACK_WAIT_MS, () => {
      // A live handler says so; a frozen or dead one cannot, nor one that was never reached.
      if (!has.arrived || !consumer.process.isRunning) giveAgain()
    })
    if (!has.arrived) return
    if (isLate) this.world.loop.after(consumer.process, this.chance.fraction() * REORDER_MS_MAX, start)
    else this.world.loop.soon(consumer.process, start)
  }

  private settle(message: Message, verdict: Verdict, { onParked }: Consumer): void {
    if (verdict.type === "ack") return
    if (verdict.type === "park") return this.park(message, verdict.reason, onParked)
    if (message.deliveries >= DELIVERIES_MAX) return this.park(message, `delivered ${message.deliveries} times`, onParked)
    const life = this.life
    this.outstanding.add(message)
    this.world.loop.after(this.world, Math.max(0, verdict.delayMs), () => {
      this.outstanding.delete(message)
      if (life === this.life) this.put(message)
    })
  }

  find(id: string): ParkedMessage | undefined {
    return this.parked.find((message) => message.id === id)
  }

  drop(id: string): boolean {
    const isKept = this.find(id) !== undefined
    this.parked = this.parked.filter((message) => message.id !== id)
    return isKept
  }

  /** One call, and yet in this order. */
  redrive(id: string): boolean {
    const message = this.find(id)
    if (message === undefined) return false
    this.publish(message.subject, message.body)
    return this.drop(id)
  }

  private park({ subject, body, deliveries }: Message, reason: string, onParked: () => void): void {
    this.parkedCount++
    const message = { id: parkedId(this.parkedCount, { subject, body }), subject, body, reason, deliveries, parkedAtMs: this.world.loop.nowMs }
    this.parked = [...this.parked, message].slice(-PARKED_KEPT_MAX)
    onParked()
  }
}

export interface BusPortOptions {
  readonly broker: Broker
  readonly link: Link
  readonly process: Process
  readonly faults: MessageShares
}

/** The bus as one process has it. */
export const busPorts = (options: BusPortOptions): Layer.Layer<Bus | ParkedMessages | Witness> =>
  Layer.unwrap(Effect.map(Effect.serviceOption(Telemetry), (telemetry) => portsOf(options, Option.getOrUndefined(telemetry))))

const portsOf = ({ broker, link, process, faults }: BusPortOptions, telemetry: Telemetry["Service"] | undefined) => {
  const unavailable = (doing: string) => Exit.fail(new BusUnavailable({ doing, cause: "no answer" }))
  const call = <A>(doing: string, serve: () => A) => link.call(doing, () => Exit.succeed(serve()), () => unavailable(doing))
  const bus = Layer.succeed(Bus, {
    publish: (subject, body) =>
      Effect.suspend(() => {
        assertPublishable(subject, body)
        return call(`publish on ${subject}`, () => broker.publish(subject, body))
      }),
    consume: (subject, { concurrency }, handle) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.map(Effect.context<never>(), (context) => {
            assert(Number.isInteger(concurrency) && concurrency > 0, "concurrency is a positive whole number")
            const running = new Set<Fiber.Fiber<Verdict>>()
            let whenIdle: (() => void) | undefined
            const consumer: Consumer = {
              process,
              concurrency,
              faults,
              inFlight: 0,
              carries: (way) => link.carries(way),
              onParked: () => telemetry?.count("messages_parked"),
              start: (delivery, over) => {
                link.onMoment("before", link.service, `handle ${subject}`)
                const fiber = Effect.runForkWith(context)(verdictOf(handle, delivery))
                running.add(fiber)
                fiber.addObserver((exit) => {
                  running.delete(fiber)
                  const verdict: Verdict = exit._tag === "Success" ? exit.value : { type: "nak", delayMs: DEFECT_NAK_MS }
                  process.loop.soon(broker.world, () => {
                    const wasAlive = process.isAlive
                    link.onMoment("before", link.service, `settle ${subject}`)
                    if (wasAlive && !process.isAlive) return // killed in this very moment: it will be delivered again
                    over(verdict)
                    link.onMoment("after", link.service, `settle ${subject}`)
                  })
                  if (running.size === 0) whenIdle?.()
                })
              }
            }
            const leave = broker.subscribe(subject, consumer)
            const idle = Effect.callback<void>((resume) => {
              if (running.size === 0) return resume(Effect.void)
              whenIdle = () => resume(Effect.void)
            })
            return { leave, idle }
          }),
          ({ leave, idle }) => Effect.andThen(Effect.sync(leave), idle)
        )
      ),
    ping: call("ping", () => undefined)
  })
  const parked = Layer.succeed(ParkedMessages, {
    count: Effect.sync(() => broker.parkedCount),
    kept: Effect.sync(() => broker.parked.length),
    newest: ({ limit, subject }) =>
      Effect.sync(() => broker.parked.filter((message) => subject === undefined || message.subject === subject).toReversed().slice(0, limit)),
    find: (id) => call("find a parked message", () => broker.find(id)),
    redrive: (id) => call("redrive a parked message", () => broker.redrive(id)),
    drop: (id) => call("drop a parked message", () => broker.drop(id))
  })
  const witness = Layer.succeed(Witness, {
    recall: Effect.catch(call("recall", () => broker.witnessed), () => Effect.succeed(null)),
    remember: (standing) => Effect.catch(call("remember", () => broker.remember(standing)), () => Effect.succeed(null))
  })
  return Layer.mergeAll(bus, parked, witness)
}
