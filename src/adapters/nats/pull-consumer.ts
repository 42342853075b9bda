/**
 * Pulls one subject into a desk for as long as the scope is open. Whatever breaks (connection, stream, consumer, a server that
 * goes quiet) ends one round, and the next makes what is missing. Uses `fetch` with the exact room of the desk: the library's
 * `consume` asks again whenever heartbeats stop, and behind slow handlers they do stop, so that it hoards (docs/adr/0002).
 */
import type { Consumer, ConsumerInfo, ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import { Effect, Random, type Fiber, type Scope } from "effect"
import type { BusUnavailable } from "../../messaging/bus.port.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { attempt } from "./attempt.ts"
import type { NatsLink } from "./connection.ts"
import { Desk } from "./desk.ts"
import type { NatsSettings } from "./nats-settings.ts"
import { StallWatch, type ConsumerView } from "./stall-watch.ts"
import { durableOf, ensureConsumer, streamOf } from "./streams.ts"

/** One request for messages; a new one follows at once. */
const PULL_MS = 10_000
/** The server's sign of life while a request waits. Two missing end the round. */
const HEARTBEAT_MS = 1_000
/** The watchdog looks this often, and only while nothing arrives. */
const WATCH_PERIOD_MS = 2_500
const ROUND_PAUSE_FIRST_MS = 50
const ROUND_PAUSE_LONGEST_MS = 2_000
/** A round that lasted so long has worked, also when there was nothing to deliver: what the API does not answer fails sooner. */
const ROUND_WORKED_MS = PULL_MS
/** Whoever looks into the log while it does not work must not find silence: a stream can stay without a leader. */
const REMIND_MS = 30_000

/** Told of a consumer that stood still and was deleted. */
export type NoteRemade = (subject: string) => void

export const pullInto = (
  link: NatsLink,
  settings: NatsSettings,
  subject: string,
  concurrency: number,
  start: (message: JsMsg) => Fiber.Fiber<unknown>,
  noteRemade: NoteRemade
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    // Finalizers run from last to first: stop pulling, then finish what is in hand, and only then stop saying that we work.
    const sayWorking = Effect.andThen(Effect.sleep(settings.ackWaitMs / 3), Effect.sync(() => desk.sayWorking()))
    yield* Effect.forkScoped(Effect.forever(sayWorking))
    const desk = yield* Effect.acquireRelease(
      Effect.sync(() => new Desk(concurrency, start)),
      (held) => Effect.andThen(held.close, flush(link))
    )
    yield* Effect.forkScoped(watching(link, subject, desk, noteRemade))
    yield* Effect.forkScoped(rounds(link, settings, subject, concurrency, desk))
  })

/** Acknowledgements are sent without an answer; this makes sure that they have left. */
const flush = (link: NatsLink): Effect.Effect<void> =>
  Effect.ignore(Effect.flatMap(link.session, ({ connection }) => Effect.tryPromise(() => connection.flush()))).pipe(
    Effect.timeout(ROUND_PAUSE_LONGEST_MS),
    Effect.ignore
  )

const rounds = Effect.fnUntraced(
  function*(
    link: NatsLink,
    settings: NatsSettings,
    subject: string,
    concurrency: number,
    desk: Desk
  ): Effect.fn.Return<never> {
    let failing: { readonly sinceMs: number; readonly saidMs: number } | undefined
    for (let pauseMs = ROUND_PAUSE_FIRST_MS;; pauseMs = Math.min(pauseMs * 2, ROUND_PAUSE_LONGEST_MS)) {
      const acceptedBefore = desk.accepted
      const startedMs = yield* monotonicMs
      const { doing, cause } = yield* Effect.flip(round(link, settings, subject, concurrency, desk))
      const nowMs = yield* monotonicMs
      if (desk.accepted > acceptedBefore || nowMs - startedMs >= ROUND_WORKED_MS) {
        pauseMs = ROUND_PAUSE_FIRST_MS
        failing = undefined
      }
      if (failing === undefined || nowMs - failing.saidMs >= REMIND_MS) {
        failing = { sinceMs: failing?.sinceMs ?? nowMs, saidMs: nowMs }
        const seen = { subject, doing, cause: String(cause), forSeconds: Math.round((nowMs - failing.sinceMs) / 1_000) }
        yield* Effect.logWarning("consuming from NATS was interrupted; trying until it works", seen)
      }
      yield* Effect.sleep(yield* Random.nextBetween(pauseMs / 2, pauseMs))
    }
  }
)

const round = Effect.fnUntraced(
  function*(link: NatsLink, settings: NatsSettings, subject: string, concurrency: number, desk: Desk) {
    const session = yield* link.session
    const consumer = yield* attempt(`consume ${subject}`, () => ensureConsumer(session, settings, subject, concurrency))
    return yield* pulling(link, consumer, desk)
  }
)

/** Asks for exactly as much as there is room for, again and again. */
const pulling = (link: NatsLink, consumer: Consumer, desk: Desk): Effect.Effect<never, BusUnavailable> =>
  Effect.forever(Effect.andThen(
    desk.hasRoom,
    Effect.acquireUseRelease(
      attempt("ask for messages", () =>
        consumer.fetch({ max_messages: desk.room, expires: PULL_MS, idle_heartbeat: HEARTBEAT_MS })),
      (messages) => Effect.andThen(attempt("receive messages", () => receive(link, messages, desk)), link.session),
      (messages) => Effect.sync(() => messages.stop())
    )
  ))

const receive = async (link: NatsLink, messages: ConsumerMessages, desk: Desk): Promise<void> => {
  const forget = link.onDrop(() => messages.stop())
  try {
    for await (const message of messages) desk.accept(message)
  } finally {
    forget()
  }
}

/** Deletes a consumer that stands still; the next round makes it again. The messages are in the stream, so nothing is lost. */
const watching = Effect.fnUntraced(function*(link: NatsLink, subject: string, desk: Desk, noteRemade: NoteRemade): Effect.fn.Return<never> {
  const watch = new StallWatch()
  const [stream, durable] = [streamOf(subject), durableOf(subject)]
  for (;;) {
    const accepted = desk.accepted
    yield* Effect.sleep(WATCH_PERIOD_MS)
    if (desk.accepted > accepted || desk.room < 1) {
      watch.forget()
      continue
    }
    yield* Effect.ignore(Effect.gen(function*() {
      const { manager } = yield* link.session
      const view = yield* attempt("look at a consumer", async () => viewOf(await manager.consumers.info(stream, durable)))
      if (!watch.sees(view, yield* monotonicMs)) return
      yield* Effect.logWarning("a NATS consumer stands still with messages waiting; making it again", { subject, ...view })
      watch.forget()
      yield* attempt("delete a consumer that stands still", () => manager.consumers.delete(stream, durable))
      noteRemade(subject)
    }))
  }
})

const viewOf = (info: ConsumerInfo): ConsumerView => ({
  pending: info.num_pending,
  unsettled: info.num_ack_pending,
  unsettledMax: info.config.max_ack_pending ?? Number.POSITIVE_INFINITY,
  deliveredSeq: info.delivered.consumer_seq
})
