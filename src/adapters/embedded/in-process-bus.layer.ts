/**
 * The bus of a gateway that runs alone: the same promises as JetStream inside one process, without persistence. What waits here
 * dies with the process and the sweeper sends it again. A handler never runs inside `publish`, whatever handlers publish.
 */
import { Clock, Context, Effect, type Fiber, Layer, Option } from "effect"
import assert from "node:assert/strict"
import { DEFECT_NAK_MS, DELIVERIES_MAX, PARKED_KEPT_MAX } from "../../messaging/bus-limits.ts"
import { noWitness, Witness } from "../../ledger/witness.port.ts"
import { Bus, BusUnavailable, type Delivery, type Verdict } from "../../messaging/bus.port.ts"
import { assertPublishable } from "../../messaging/publishable.ts"
import { parkedId, ParkedMessages, type ParkedMessage } from "../../messaging/parked-messages.port.ts"
import { verdictOf } from "../../messaging/verdict-of.ts"
import { Telemetry } from "../../telemetry/telemetry.port.ts"
import { Backlog } from "./backlog.ts"

/** Messages that may wait on one subject, those resting after a `nak` included. */
const WAITING_MAX = 100_000
/** Handlers started in one turn of the event loop, so that sockets and timers get theirs. */
const STARTS_PER_TURN_MAX = 1_024

interface Message {
  readonly body: Uint8Array
  deliveries: number
}

interface Consumer {
  readonly start: (delivery: Delivery) => Fiber.Fiber<Verdict>
  readonly concurrency: number
  inFlight: number
  whenIdle: (() => void) | undefined
}

class Topic {
  readonly waiting = new Backlog<Message>()
  readonly consumers: Array<Consumer> = []
  resting = 0
  isTurnPlanned = false
}

const make = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const telemetry = Option.getOrUndefined(yield* Effect.serviceOption(Telemetry))
  const topics = new Map<string, Topic>()
  const clock = yield* Clock.Clock
  let parked: ReadonlyArray<ParkedMessage> = []
  let parkedCount = 0

  const topicOf = (subject: string): Topic => {
    const known = topics.get(subject)
    if (known !== undefined) return known
    const topic = new Topic()
    topics.set(subject, topic)
    return topic
  }

  const park = (subject: string, message: Message, reason: string): void => {
    parkedCount++
    telemetry?.count("messages_parked")
    run(Effect.logWarning("a message was parked", { subject, reason }))
    const { body, deliveries } = message
    const id = parkedId(parkedCount, { subject, body })
    keep([...parked, { id, subject, body, reason, deliveries, parkedAtMs: clock.currentTimeMillisUnsafe() }].slice(-PARKED_KEPT_MAX))
  }

  const keep = (messages: ReadonlyArray<ParkedMessage>): void => {
    parked = messages
    telemetry?.gauge("parked_messages", parked.length)
  }

  const planTurn = (subject: string, topic: Topic): void => {
    if (topic.isTurnPlanned) return
    topic.isTurnPlanned = true
    setImmediate(() => {
      topic.isTurnPlanned = false
      turn(subject, topic)
    })
  }

  /** The next consumer with a free hand goes to the end of the line, so that work is shared. */
  const freeConsumer = (topic: Topic): Consumer | undefined => {
    const index = topic.consumers.findIndex((consumer) => consumer.inFlight < consumer.concurrency)
    if (index < 0) return undefined
    const [consumer] = topic.consumers.splice(index, 1)
    assert(consumer !== undefined, "the index was just found")
    topic.consumers.push(consumer)
    return consumer
  }

  const turn = (subject: string, topic: Topic): void => {
    for (let starts = 0; topic.waiting.size > 0; starts++) {
      if (starts === STARTS_PER_TURN_MAX) return planTurn(subject, topic)
      const consumer = freeConsumer(topic)
      if (consumer === undefined) return
      const message = topic.waiting.shift()
      assert(message !== undefined, "the backlog was not empty")
      deliver(subject, topic, consumer, message)
    }
  }

  const deliver = (subject: string, topic: Topic, consumer: Consumer, message: Message): void => {
    consumer.inFlight++
    message.deliveries++
    const fiber = consumer.start({ subject, body: message.body, deliveries: message.deliveries })
    fiber.addObserver((exit) => {
      settle(subject, topic, message, exit._tag === "Success" ? exit.value : { type: "nak", delayMs: DEFECT_NAK_MS })
      consumer.inFlight--
      if (consumer.inFlight === 0) consumer.whenIdle?.()
      if (topic.waiting.size > 0) planTurn(subject, topic)
    })
  }

  const settle = (subject: string, topic: Topic, message: Message, verdict: Verdict): void => {
    if (verdict.type === "ack") return
    if (verdict.type === "park") return park(subject, message, verdict.reason)
    if (message.deliveries >= DELIVERIES_MAX) return park(subject, message, `delivered ${message.deliveries} times`)
    const comeBack = Effect.sync(() => {
      topic.resting--
      topic.waiting.push(message)
      planTurn(subject, topic)
    })
    topic.resting++
    run(Effect.forkIn(Effect.andThen(Effect.sleep(Math.max(0, verdict.delayMs)), comeBack), scope))
  }

  const bus = Bus.of({
    publish: (subject, body) =>
      Effect.suspend(() => {
        assertPublishable(subject, body)
        const topic = topicOf(subject)
        if (topic.waiting.size + topic.resting >= WAITING_MAX) {
          return new BusUnavailable({ doing: `publish on ${subject}`, cause: `${WAITING_MAX} messages wait already` })
        }
        topic.waiting.push({ body, deliveries: 0 })
        planTurn(subject, topic)
        return Effect.void
      }),

    consume: (subject, { concurrency }, handle) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.map(Effect.context<never>(), (context) => {
          assert(Number.isInteger(concurrency) && concurrency > 0, "concurrency is a positive whole number")
          const topic = topicOf(subject)
          const start = (delivery: Delivery) => Effect.runForkWith(context)(verdictOf(handle, delivery))
          const consumer: Consumer = { start, concurrency, inFlight: 0, whenIdle: undefined }
          topic.consumers.push(consumer)
          planTurn(subject, topic)
          return { topic, consumer }
        }),
        ({ topic, consumer }) =>
          Effect.callback<void>((resume) => {
            topic.consumers.splice(topic.consumers.indexOf(consumer), 1)
            if (consumer.inFlight === 0) return resume(Effect.void)
            consumer.whenIdle = () => resume(Effect.void)
          })
      )),

    ping: Effect.void
  })

  const find = (id: string) => parked.find((message) => message.id === id)
  const drop = (id: string) =>
    Effect.sync(() => {
      if (find(id) === undefined) return false
      keep(parked.filter((message) => message.id !== id))
      return true
    })
  const parkedMessages = ParkedMessages.of({
    count: Effect.sync(() => parkedCount),
    kept: Effect.sync(() => parked.length),
    newest: ({ limit, subject }) =>
      Effect.sync(() => parked.filter((message) => subject === undefined || message.subject === subject).toReversed().slice(0, limit)),
    find: (id) => Effect.sync(() => find(id)),
    redrive: (id) =>
      Effect.suspend(() => {
        const message = find(id)
        return message === undefined ? Effect.succeed(false) : Effect.andThen(bus.publish(message.subject, message.body, `redriven:${id}`), drop(id))
      }),
    drop
  })

  return Context.make(Bus, bus).pipe(Context.add(ParkedMessages, parkedMessages), Context.add(Witness, noWitness))
})

/** Counts what it parks where a `Telemetry` stands below it. */
export const inProcessBus: Layer.Layer<Bus | ParkedMessages | Witness> = Layer.effectContext(make)
