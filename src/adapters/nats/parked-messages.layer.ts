/** ParkedMessages on JetStream: a bounded stream of its own, from which a message goes only after it was published where it belongs. */
import { type StoredMsg } from "@nats-io/jetstream"
import { Effect, Layer, type Scope } from "effect"
import { BusUnavailable } from "../../messaging/bus.port.ts"
import { parkedId, type ParkedFilter, type ParkedMessage, ParkedMessages, placeOfParked } from "../../messaging/parked-messages.port.ts"
import { assertPublishable } from "../../messaging/publishable.ts"
import { Telemetry } from "../../telemetry/telemetry.port.ts"
import { attempt } from "./attempt.ts"
import { type NatsLink, type NatsSession, openLink } from "./connection.ts"
import type { NatsSettings } from "./nats-settings.ts"
import { parkedNowOf } from "./parking.ts"
import { isMissingStream, PARKED_STREAM } from "./streams.ts"

/** How often it is counted how many are kept: an operator looks at it in minutes. */
const COUNT_EVERY_MS = 15_000

/** For a command, which parks nothing itself and makes no streams. */
export const natsParkedMessages = (settings: NatsSettings): Layer.Layer<ParkedMessages> =>
  Layer.effect(ParkedMessages, Effect.map(openLink(settings, () => Effect.void), parkedOver))

export const parkedOver = (link: NatsLink) => {
  const ask = <A>(doing: string, act: (session: NatsSession) => Promise<A>): Effect.Effect<A, BusUnavailable> =>
    Effect.flatMap(link.session, (session) => attempt(doing, () => act(session)))
  return ParkedMessages.of({
    count: ask("count parked messages", async (session) => (await stateOf(session))?.last_seq ?? 0),
    kept: ask("count parked messages", async (session) => (await stateOf(session))?.messages ?? 0),
    newest: (filter) => ask("read parked messages", (session) => newest(session, filter)),
    find: (id) => ask("read a parked message", (session) => find(session, id)),
    redrive: (id) =>
      Effect.gen(function*() {
        const message = yield* ask("read a parked message", (session) => find(session, id))
        if (message === undefined) return false
        assertPublishable(message.subject, message.body)
        yield* ask("publish a parked message again", ({ jetstream }) => jetstream.publish(message.subject, message.body, { msgID: `redriven:${id}` }))
        yield* ask("take away a parked message", (session) => remove(session, id))
        return true
      }),
    drop: (id) =>
      ask("drop a parked message", async (session) => {
        if ((await find(session, id)) === undefined) return false
        await remove(session, id)
        return true
      })
  })
}

/** Says again and again how many are kept, for as long as the scope is open. */
export const gaugeParked = (parked: ParkedMessages["Service"], telemetry: Telemetry["Service"]): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.forkScoped(Effect.forever(
    Effect.andThen(
      Effect.ignore(Effect.map(parked.kept, (kept) => telemetry.gauge("parked_messages", kept))),
      Effect.sleep(COUNT_EVERY_MS)
    )
  )))

/** Undefined before anybody has made the stream. */
const stateOf = async ({ manager }: NatsSession) => {
  try {
    return (await manager.streams.info(PARKED_STREAM)).state
  } catch (error) {
    if (isMissingStream(error)) return undefined
    throw error
  }
}

const newest = async (session: NatsSession, { limit, subject }: ParkedFilter): Promise<ReadonlyArray<ParkedMessage>> => {
  const state = await stateOf(session)
  const found: Array<ParkedMessage> = []
  if (state === undefined) return found
  for (let seq = state.last_seq; seq >= state.first_seq && seq > 0 && found.length < limit; seq--) {
    const stored = await session.manager.streams.getMessage(PARKED_STREAM, { seq })
    if (stored === null) continue
    const message = parkedMessageOf(stored)
    if (subject === undefined || message.subject === subject) found.push(message)
  }
  return found
}

const find = async (session: NatsSession, id: string): Promise<ParkedMessage | undefined> => {
  const seq = placeOfParked(id)
  if (seq === undefined || seq === 0 || (await stateOf(session)) === undefined) return undefined
  const stored = await session.manager.streams.getMessage(PARKED_STREAM, { seq })
  const message = stored === null ? undefined : parkedMessageOf(stored)
  return message?.id === id ? message : undefined
}

/** Somebody else may be quicker. */
const remove = async (session: NatsSession, id: string): Promise<void> => {
  try {
    await session.manager.streams.deleteMessage(PARKED_STREAM, placeOfParked(id) ?? 0)
  } catch (error) {
    if ((await find(session, id)) !== undefined) throw error
  }
}

const parkedMessageOf = (stored: StoredMsg): ParkedMessage => {
  const message = parkedNowOf(stored)
  return { ...message, id: parkedId(stored.seq, message), parkedAtMs: stored.time.getTime() }
}
