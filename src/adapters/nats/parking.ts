/** Where messages end that nobody could read or that never got better: a bounded stream with the reason in headers. */
import type { StoredMsg } from "@nats-io/jetstream"
import { headers, type MsgHdrs } from "@nats-io/transport-node"
import { Effect } from "effect"
import { PARKED_SUBJECT } from "../../domain/journey.ts"
import { PARK_REASON_LENGTH_MAX } from "../../messaging/bus-limits.ts"
import type { ParkedNow } from "../../messaging/parked-messages.port.ts"
import { attempt } from "./attempt.ts"
import type { NatsSession } from "./connection.ts"
import { OUTCOME_STREAM, WORK_STREAM } from "./streams.ts"

const SUBJECT_HEADER = "Portcullis-Subject"
const REASON_HEADER = "Portcullis-Reason"
const DELIVERIES_HEADER = "Portcullis-Deliveries"
/** One gateway of all handles an advisory. */
const ADVISORY_QUEUE = "portcullis"

/** Tells operators of a message that was parked. */
export type NoteParked = (subject: string, reason: string) => Effect.Effect<void>

/** Resolves once the copy is stored. `origin` names the message, so that two who park it at once keep one copy. */
export const park = async ({ jetstream }: NatsSession, message: ParkedNow, origin: string): Promise<void> => {
  const why = headers()
  why.set(SUBJECT_HEADER, printable(message.subject))
  why.set(REASON_HEADER, printable(message.reason))
  why.set(DELIVERIES_HEADER, String(message.deliveries))
  await jetstream.publish(PARKED_SUBJECT, message.body, { msgID: `parked:${origin}`, headers: why })
}

/** Reasons may quote foreign text: no line break may reach a header. */
const printable = (text: string): string => text.slice(0, PARK_REASON_LENGTH_MAX).replaceAll(/[^\x20-\x7e]/g, "?")

/** What `park` has written. */
export const parkedNowOf = ({ data, header }: StoredMsg): ParkedNow => ({
  subject: header.get(SUBJECT_HEADER),
  body: data,
  reason: header.get(REASON_HEADER),
  deliveries: countOf(header)
})

const countOf = (header: MsgHdrs): number => Number.parseInt(header.get(DELIVERIES_HEADER), 10) || 0

/**
 * A message that reached `max_deliver` stays in its stream for ever and only an advisory tells (there is no dead letter queue in
 * JetStream). Parks it and deletes it. An advisory that nobody hears costs nothing but room: the stream's age limit clears it.
 */
export const parkExhausted = (session: NatsSession, noteParked: NoteParked): Effect.Effect<void> =>
  Effect.map(Effect.context<never>(), (context) => {
    const run = Effect.runForkWith(context)
    const handle = (stream: string, advisory: Uint8Array) =>
      attempt("park an exhausted message", () => parkOne(session, stream, advisory)).pipe(
        Effect.flatMap((parked) => (parked === undefined ? Effect.void : noteParked(parked.subject, parked.reason))),
        Effect.catch(({ cause }) => Effect.logWarning("an exhausted message could not be parked", { cause: String(cause) }))
      )
    for (const stream of [WORK_STREAM, OUTCOME_STREAM]) {
      session.connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${stream}.*`, {
        queue: ADVISORY_QUEUE,
        callback: (error, message) => {
          if (error === null) run(handle(stream, message.data))
          else run(Effect.logWarning("no advisories are heard", { cause: String(error) }))
        }
      })
    }
  })

/** Answers what was parked, or undefined when somebody else was quicker. */
const parkOne = async (session: NatsSession, stream: string, advisory: Uint8Array): Promise<ParkedNow | undefined> => {
  const { stream_seq: seq, deliveries } = JSON.parse(Buffer.from(advisory).toString("utf8")) as {
    readonly stream_seq: number
    readonly deliveries: number
  }
  const stored = await session.manager.streams.getMessage(stream, { seq })
  if (stored === null) return undefined
  const parked = { subject: stored.subject, body: stored.data, reason: `delivered ${deliveries} times`, deliveries }
  await park(session, parked, `${stream}:${seq}`)
  await session.manager.streams.deleteMessage(stream, seq)
  return parked
}
