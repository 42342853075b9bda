/** Witness in JetStream: one message, the newest word of any gateway on how far the database had come. Like everything there it may be lost. */
import { Effect, Schema } from "effect"
import type { Standing } from "../../ledger/standing.ts"
import type { Witness } from "../../ledger/witness.port.ts"
import { attempt } from "./attempt.ts"
import type { NatsLink, NatsSession } from "./connection.ts"
import { WITNESS_STREAM, WITNESS_SUBJECT } from "./streams.ts"

/** Of both: nobody waits for a witness for longer. */
const WITNESS_MS_MAX = 3_000
/** A gateway that starts asks so often: at first there may be no leader of the stream (stack.md section 4), or no stream. */
const RECALLS_MAX = 3

const Remembered = Schema.Struct({
  system: Schema.String,
  timeline: Schema.Number,
  rewinds: Schema.Number,
  life: Schema.Number,
  position: Schema.Number
})
const isRemembered = Schema.is(Remembered)

export const witnessOver = (link: NatsLink, streams: (session: NatsSession) => Promise<void>): Witness["Service"] => ({
  recall: Effect.flatMap(link.session, (session) =>
    attempt("recall how far the database had come", async () => {
      await streams(session)
      return newestWord(session)
    })
  ).pipe(
    Effect.timeout(WITNESS_MS_MAX),
    Effect.retry({ times: RECALLS_MAX - 1 }),
    Effect.catch((error) =>
      Effect.as(Effect.logWarning("nobody can be asked how far the database had come", { cause: String(error) }), null)
    )
  ),
  remember: ({ system, timeline, rewinds, life, position }) =>
    Effect.flatMap(link.session, (session) => {
      const body = Buffer.from(JSON.stringify({ system, timeline, rewinds, life, position } satisfies Standing))
      const say = () => session.jetstream.publish(WITNESS_SUBJECT, body, { timeout: WITNESS_MS_MAX })
      // Where no stream was found, another's making of it may have been under way, and have looked before it was lost: the next word makes it.
      return attempt("remember how far the database has come", async () => {
        const before = await newestWord(session).catch(() => null)
        await say().catch(() => streams(session).then(say))
        return before
      })
    }).pipe(Effect.timeout(WITNESS_MS_MAX), Effect.catch(() => Effect.succeed(null)))
})

const newestWord = async ({ manager }: NatsSession): Promise<Standing | null> => {
  const stored = await manager.streams.getMessage(WITNESS_STREAM, { last_by_subj: WITNESS_SUBJECT })
  return stored === null ? null : standingIn(stored.data)
}

/** What nobody can read was never said. */
const standingIn = (body: Uint8Array): Standing | null => {
  try {
    const said: unknown = JSON.parse(Buffer.from(body).toString("utf8"))
    return isRemembered(said) ? said : null
  } catch {
    return null
  }
}
