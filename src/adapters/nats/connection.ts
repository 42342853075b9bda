/**
 * One connection to NATS that never gives up: dials until a server answers, lets the client library reconnect, and dials anew when
 * the library has closed (it does after two refused logins). Callers wait a bounded time and are told when there is no connection.
 */
import {
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  type Status
} from "@nats-io/transport-node"
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream"
import { Effect, Latch, Random, Redacted, type Scope } from "effect"
import { BusUnavailable } from "../../messaging/bus.port.ts"
import { attempt } from "./attempt.ts"
import type { NatsSettings } from "./nats-settings.ts"

/** One try to open a socket, log in and hear the first PONG. */
const DIAL_MS_MAX = 3_000
/** How long a caller waits for a connection before it hears "not now". */
const CONNECTED_WITHIN_MS = 2_000
/** Pause before dialling again: doubled from the first to the longest and jittered, so that a restarted server is not stormed. */
const REDIAL_FIRST_MS = 100
const REDIAL_LONGEST_MS = 5_000
/** The library's own pause between servers of the cluster. */
const RECONNECT_WAIT_MS = 500
/** A silent socket is noticed after two unanswered pings (half-open connections give no error at all). */
const PING_EVERY_MS = 5_000
/** An answer from the JetStream API; a cluster that elects a leader does not answer. */
const API_ANSWER_MS_MAX = 3_000
const GOODBYE_MS_MAX = 1_000

export interface NatsSession {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: JetStreamManager
}

export interface NatsLink {
  /** The live connection, waiting a little for it if need be. */
  readonly session: Effect.Effect<NatsSession, BusUnavailable>
  /** Calls back at every loss of the connection until the returned function is called. */
  readonly onDrop: (listener: () => void) => () => void
}

/** `greet` runs beside every new session (not after a mere reconnect) and ends with it. */
export const openLink = (
  settings: NatsSettings,
  greet: (session: NatsSession) => Effect.Effect<void>
): Effect.Effect<NatsLink, never, Scope.Scope> =>
  Effect.gen(function*() {
    const up = Latch.makeUnsafe(false)
    const dropListeners = new Set<() => void>()
    const run = Effect.runForkWith(yield* Effect.context<never>())
    let session: NatsSession | undefined

    const dropped = () => {
      up.closeUnsafe()
      for (const listener of dropListeners) listener()
    }

    /** Follows what the library says about the connection, until it is closed for good. */
    const follow = async (statuses: AsyncIterable<Status>): Promise<void> => {
      for await (const status of statuses) {
        if (status.type === "disconnect") {
          dropped()
          run(Effect.logWarning("the connection to NATS is lost; work waits for it", { server: status.server }))
        }
        if (status.type === "reconnect") {
          up.openUnsafe()
          run(Effect.logInfo("NATS is connected again", { server: status.server }))
        }
      }
    }

    const oneConnection = Effect.gen(function*() {
      const connection = yield* dialUntilConnected(settings)
      const ended = Promise.race([follow(connection.status()), connection.closed()])
      const manager = yield* Effect.promise(() => jetstreamManager(connection, { checkAPI: false, timeout: API_ANSWER_MS_MAX }))
      session = { connection, jetstream: jetstream(connection, { timeout: API_ANSWER_MS_MAX }), manager }
      up.openUnsafe()
      yield* Effect.forkScoped(greet(session))
      yield* Effect.promise(() => ended)
      dropped()
      yield* Effect.sleep(REDIAL_FIRST_MS)
    }).pipe(Effect.scoped)

    yield* Effect.forkScoped(Effect.forever(oneConnection))

    const live = Effect.suspend(() =>
      session === undefined ? Effect.die("the latch opens after a session exists") : Effect.succeed(session))

    const liveSoon = Effect.andThen(up.await, live).pipe(
      Effect.timeoutOrElse({
        duration: CONNECTED_WITHIN_MS,
        orElse: () => new BusUnavailable({ doing: "connect to NATS", cause: `no connection in ${CONNECTED_WITHIN_MS} ms` })
      })
    )

    return {
      session: Effect.suspend(() => (up.isOpen() ? live : liveSoon)),
      onDrop: (listener) => {
        dropListeners.add(listener)
        return () => dropListeners.delete(listener)
      }
    }
  })

/** Dials for ever. The connection says goodbye (sends what is buffered) and closes with the scope. */
const dialUntilConnected = (settings: NatsSettings): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.gen(function*() {
    for (let pauseMs = REDIAL_FIRST_MS;; pauseMs = Math.min(pauseMs * 2, REDIAL_LONGEST_MS)) {
      const connection = yield* Effect.acquireRelease(dial(settings), goodbye).pipe(
        Effect.catch((error) =>
          Effect.as(
            pauseMs > REDIAL_FIRST_MS
              ? Effect.void // Said once; health and ping keep saying it.
              : Effect.logWarning("NATS cannot be reached; dialling until it answers", { cause: String(error.cause) }),
            undefined
          )
        )
      )
      if (connection !== undefined) return connection
      yield* Effect.sleep(yield* Random.nextBetween(pauseMs / 2, pauseMs))
    }
  })

const dial = (settings: NatsSettings): Effect.Effect<NatsConnection, BusUnavailable> =>
  attempt("connect to NATS", () => connect(connectionOptions(settings)))

const goodbye = (connection: NatsConnection): Effect.Effect<void> =>
  Effect.tryPromise(() => connection.flush()).pipe(
    Effect.timeout(GOODBYE_MS_MAX),
    Effect.ignore,
    Effect.andThen(Effect.ignore(Effect.tryPromise(() => connection.close())))
  )

const connectionOptions = (settings: NatsSettings): NodeConnectionOptions => ({
  servers: [...settings.servers],
  name: settings.name,
  timeout: DIAL_MS_MAX,
  maxReconnectAttempts: -1,
  reconnectTimeWait: RECONNECT_WAIT_MS,
  reconnectJitter: RECONNECT_WAIT_MS,
  reconnectJitterTLS: RECONNECT_WAIT_MS,
  pingInterval: PING_EVERY_MS,
  // A stack trace for every request costs more than the request.
  noAsyncTraces: true,
  ...authentication(settings),
  ...(settings.tls === undefined ? {} : { tls: tlsOptions(settings.tls) })
})

const authentication = ({ credentials }: NatsSettings): NodeConnectionOptions => {
  switch (credentials.type) {
    case "none":
      return {}
    case "creds":
      return { authenticator: credsAuthenticator(Buffer.from(Redacted.value(credentials.contents))) }
    case "token":
      return { token: Redacted.value(credentials.token) }
    case "password":
      return { user: credentials.user, pass: Redacted.value(credentials.password) }
  }
}

const tlsOptions = (tls: NonNullable<NatsSettings["tls"]>): NonNullable<NodeConnectionOptions["tls"]> => ({
  ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  ...(tls.cert === undefined ? {} : { cert: tls.cert }),
  ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) }),
  ...(tls.handshakeFirst === undefined ? {} : { handshakeFirst: tls.handshakeFirst })
})
