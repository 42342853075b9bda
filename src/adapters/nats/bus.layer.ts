/**
 * The bus of a cluster: NATS JetStream. It carries hints only (docs/adr/0002): a confirmed message may still be lost with its
 * store, and nothing here tries to prevent that. What is lost is sent again by the sweeper.
 */
import { JetStreamError, type JsMsg } from "@nats-io/jetstream"
import { errors } from "@nats-io/transport-node"
import { Context, Effect, Layer, Option, Semaphore } from "effect"
import assert from "node:assert/strict"
import { DEFECT_NAK_MS, DELIVERIES_MAX } from "../../messaging/bus-limits.ts"
import { Witness } from "../../ledger/witness.port.ts"
import { Bus, BusUnavailable, type Verdict } from "../../messaging/bus.port.ts"
import { ParkedMessages } from "../../messaging/parked-messages.port.ts"
import { assertPublishable } from "../../messaging/publishable.ts"
import { verdictOf } from "../../messaging/verdict-of.ts"
import { type CallFault, CallRefused, type Guards, guardsHere } from "../../resilience/guards.ts"
import { Telemetry } from "../../telemetry/telemetry.port.ts"
import { attempt } from "./attempt.ts"
import { openLink, type NatsLink, type NatsSession } from "./connection.ts"
import { safely } from "./desk.ts"
import type { NatsSettings } from "./nats-settings.ts"
import { gaugeParked, parkedOver } from "./parked-messages.layer.ts"
import { park, parkExhausted, type NoteParked } from "./parking.ts"
import { type NoteRemade, pullInto } from "./pull-consumer.ts"
import { ensureStreams, streamOf } from "./streams.ts"
import { witnessOver } from "./witness.ts"

/** A confirmation. Without a leader there is none for 4 to 12 s (stack.md section 4): say so soon, the outbox tries again. */
const CONFIRM_MS_MAX = 2_000
/** The only place where a message is repeated at once; what still fails is sent again by the sweeper. */
const PUBLISH_AGAIN = { firstMs: 100, longestMs: 400, triesMax: 4, isWorthIt: ({ cause }: BusUnavailable) => !isRefused(cause) }
const PING_MS_MAX = 2_000
/** Making what is missing takes several answers of the API. Whoever waits for it holds a permit to publish, so it must end. */
const STREAMS_MADE_WITHIN_MS = 10_000

/** Somebody was there to say so: nothing listens on the subject (no stream, or no leader of it), or JetStream says no. */
const isAnswered = (cause: unknown): boolean => cause instanceof JetStreamError || isNobodyThere(cause)
/** The library wraps this once more, in an error that it does not export. */
const isNobodyThere = (cause: unknown): boolean =>
  cause instanceof errors.RequestError
    ? cause.isNoResponders()
    : cause instanceof Error && cause.cause !== undefined && isNobodyThere(cause.cause)
const isRefused = (cause: unknown): boolean => cause instanceof CallRefused
/** One breaker for all subjects: they share a connection and, in a cluster, the servers that elect leaders. */
const PUBLISHING = { dependency: "nats", target: "jetstream", method: "publish" } as const

/** Counts what it parks where a `Telemetry` stands below it. */
export const natsBus = (settings: NatsSettings): Layer.Layer<Bus | ParkedMessages | Witness> =>
  Layer.effectContext(Effect.gen(function*() {
    const streams = sharedEnsure(settings)
    const telemetry = Option.getOrUndefined(yield* Effect.serviceOption(Telemetry))
    const noteParked: NoteParked = (subject, reason) => {
      telemetry?.count("messages_parked")
      return Effect.logWarning("a message was parked", { subject, reason })
    }
    const noteRemade: NoteRemade = (subject) => telemetry?.count("consumers_remade", 1, subject)
    const link = yield* openLink(settings, (session) =>
      Effect.andThen(
        attempt("make the streams", () => streams(session)).pipe(
          Effect.catch((error) => Effect.logWarning("the NATS streams could not be made yet", { cause: String(error.cause) }))
        ),
        parkExhausted(session, noteParked)
      ))
    const parked = parkedOver(link)
    if (telemetry !== undefined) yield* gaugeParked(parked, telemetry)
    return Context.make(Bus, busOver(link, settings, streams, { noteParked, noteRemade }, yield* guardsHere)).pipe(
      Context.add(ParkedMessages, parked),
      Context.add(Witness, witnessOver(link, streams))
    )
  }))

/** Many publishers find a stream missing at once; one of them makes it and the others wait for that. */
const sharedEnsure = (settings: NatsSettings) => {
  let underWay: { readonly session: NatsSession; readonly made: Promise<void> } | undefined
  return (session: NatsSession): Promise<void> => {
    if (underWay?.session === session) return underWay.made
    const making = Effect.timeout(Effect.tryPromise(() => ensureStreams(session, settings)), STREAMS_MADE_WITHIN_MS)
    const made = Effect.runPromise(making).finally(() => {
      if (underWay?.made === made) underWay = undefined
    })
    underWay = { session, made }
    return made
  }
}

const busOver = (
  link: NatsLink,
  settings: NatsSettings,
  streams: (session: NatsSession) => Promise<void>,
  { noteParked, noteRemade }: { readonly noteParked: NoteParked; readonly noteRemade: NoteRemade },
  guards: Guards["Service"]
) => {
  const permits = Semaphore.makeUnsafe(settings.publishesInFlightMax)

  const publishOnce = (session: NatsSession, subject: string, body: Uint8Array, messageId: string) => {
    const publish = attempt(`publish on ${subject}`, () =>
      session.jetstream.publish(subject, body, { msgID: messageId, timeout: CONFIRM_MS_MAX }))
    // No leader, or no stream any more: the answers do not tell one from the other. Making what is missing is harmless.
    return Effect.catch(publish, (error) =>
      Effect.ignore(Effect.tryPromise(() => streams(session))).pipe(
        Effect.andThen(isAnswered(error.cause) ? publish : Effect.fail(error))
      ))
  }

  return Bus.of({
    publish: (subject, body, messageId) =>
      Effect.suspend(() => {
        assertPublishable(subject, body)
        return Effect.flatMap(link.session, (session) => publishOnce(session, subject, body, messageId)).pipe(
          guards.guard({
            ...PUBLISHING,
            isOutage: (error: BusUnavailable) => !isAnswered(error.cause),
            unavailable: (cause: CallFault) => new BusUnavailable({ doing: `publish on ${subject}`, cause })
          }),
          guards.repeat("nats", PUBLISH_AGAIN),
          permits.withPermit,
          Effect.asVoid
        )
      }),

    consume: (subject, { concurrency }, handle) =>
      Effect.gen(function*() {
        assert(Number.isInteger(concurrency) && concurrency > 0, "concurrency is a positive whole number")
        const run = Effect.runForkWith(yield* Effect.context<never>())
        const start = (message: JsMsg) =>
          run(Effect.flatMap(
            verdictOf(handle, { subject: message.subject, body: message.data, deliveries: message.info.deliveryCount }),
            (verdict) => settle(link, message, verdict, noteParked)
          ))
        yield* pullInto(link, settings, subject, concurrency, start, noteRemade)
      }),

    ping: Effect.flatMap(link.session, ({ manager }) =>
      attempt("ping NATS JetStream", () => manager.getAccountInfo())).pipe(
        Effect.timeoutOrElse({
          duration: PING_MS_MAX,
          orElse: () => Effect.fail(new BusUnavailable({ doing: "ping NATS JetStream", cause: `no answer in ${PING_MS_MAX} ms` }))
        }),
        Effect.asVoid
      )
  })
}

const settle = (link: NatsLink, message: JsMsg, verdict: Verdict, noteParked: NoteParked): Effect.Effect<void> => {
  const { deliveryCount } = message.info
  switch (verdict.type) {
    case "ack":
      return Effect.sync(() => safely(() => message.ack()))
    case "park":
      return parkAndEnd(link, message, verdict.reason, noteParked)
    case "nak":
      return deliveryCount >= DELIVERIES_MAX
        ? parkAndEnd(link, message, `delivered ${deliveryCount} times`, noteParked)
        : Effect.sync(() => safely(() => message.nak(Math.max(1, Math.round(verdict.delayMs)))))
  }
}

/** The copy is stored before the message ends: parked twice is harmless, lost unseen is not. */
const parkAndEnd = (link: NatsLink, message: JsMsg, reason: string, noteParked: NoteParked): Effect.Effect<void> => {
  const copy = { subject: message.subject, body: message.data, reason, deliveries: message.info.deliveryCount }
  const origin = `${streamOf(message.subject)}:${message.seq}`
  return Effect.flatMap(link.session, (session) => attempt("park a message", () => park(session, copy, origin))).pipe(
    Effect.andThen(Effect.sync(() => safely(() => message.term()))),
    Effect.andThen(Effect.suspend(() => noteParked(message.subject, reason))),
    Effect.catch((error) =>
      Effect.andThen(
        Effect.logWarning("a message could not be parked yet", { subject: message.subject, cause: String(error.cause) }),
        Effect.sync(() => safely(() => message.nak(DEFECT_NAK_MS)))
      ))
  )
}
