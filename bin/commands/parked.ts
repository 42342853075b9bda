/** `portcullis parked`: messages that nobody could read, or that never got better. An operator looks at them, lets them go their way again once
 * somebody can read them, or drops them. Who did it and why is written down before it is done. */
import { Effect } from "effect"
import { userInfo } from "node:os"
import { toHex } from "../../src/domain/hex.ts"
import { PARKED_KEPT_MAX } from "../../src/messaging/bus-limits.ts"
import { type ParkedMessage, ParkedMessages, placeOfParked } from "../../src/messaging/parked-messages.port.ts"
import { Cluster, type MessageAction } from "../../src/ledger/cluster.port.ts"
import { withParked } from "../bus-access.ts"
import { withLedger } from "../ledger-access.ts"
import { textOf } from "../plaintext.ts"
import { failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface ParkedListFlags extends CommandFlags {
  readonly subject?: string
  readonly limit: number
}

export interface ParkedActionFlags extends CommandFlags {
  readonly why: string
}

export interface ParkedRedriveFlags extends ParkedActionFlags {
  readonly all?: true
  readonly subject?: string
}

/** Of a body, in bytes: enough to see which requests it is about. */
const SHOWN_BYTES_MAX = 2_048
const OTHERS_EXIST = "portcullis parked list"

export const parkedList = (flags: ParkedListFlags): Promise<void> => runCommand(flags, withParked(flags, listAnswer(flags)))

export const parkedShow = (id: string, flags: CommandFlags): Promise<void> =>
  runCommand(flags, withParked(flags, Effect.map(found(id), showAnswer)))

export const parkedRedrive = (id: string | undefined, flags: ParkedRedriveFlags): Promise<void> =>
  runCommand(flags, Effect.andThen(checkWhich(id, flags), withLedger(flags, withParked(flags, redriveAnswer(id, flags)))))

export const parkedDrop = (id: string, flags: ParkedActionFlags): Promise<void> =>
  runCommand(flags, withLedger(flags, withParked(flags, dropAnswer(id, flags.why))))

const listAnswer = Effect.fnUntraced(function* ({ subject, limit }: ParkedListFlags) {
  const parked = yield* ParkedMessages
  const [kept, ever, messages] = yield* Effect.all([parked.kept, parked.count, parked.newest({ limit, ...(subject === undefined ? {} : { subject }) })])
  const nowMs = Date.now()
  return {
    json: { kept, everParked: ever, messages: messages.map(({ body, ...rest }) => ({ ...rest, bytes: body.length })) },
    lines: [
      ...messages.map(
        ({ id, subject: to, reason, deliveries, parkedAtMs }) =>
          `${id}  ${age(nowMs - parkedAtMs).padStart(7)} ago  ${to}  after ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}: ${reason}`
      ),
      `parked     ${kept} kept, ${ever} since the store of the bus was made`,
      ...(messages.length === 0 ? [] : ["next       portcullis parked show <id>"])
    ]
  } satisfies Answer
})

const found = Effect.fnUntraced(function* (id: string) {
  if (placeOfParked(id) === undefined) return yield* usage("a parked message is named as `parked list` shows it, e.g. 12-0a1b2c3d")
  const message = yield* ParkedMessages.use((parked) => parked.find(id))
  return message ?? (yield* failed("no such message is parked any more", OTHERS_EXIST))
})

const showAnswer = (message: ParkedMessage): Answer => {
  const { id, subject, reason, deliveries, parkedAtMs } = message
  const body = shown(message.body)
  return {
    json: { id, subject, reason, deliveries, parkedAtMs, bytes: message.body.length, body },
    lines: [
      `message    ${id}, parked at ${new Date(parkedAtMs).toISOString()}`,
      `was for    ${subject}`,
      `parked     after ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}: ${reason}`,
      `body       ${message.body.length} bytes`,
      body,
      `next       portcullis parked redrive ${id} --why "..." (or: parked drop)`
    ]
  }
}

/** Bodies are hints and hold no secret, but who wrote this one is unknown, and a terminal obeys escape sequences. */
const shown = (body: Uint8Array): string => {
  const beginning = body.slice(0, SHOWN_BYTES_MAX)
  return `${textOf(beginning) ?? toHex(beginning)}${body.length > SHOWN_BYTES_MAX ? "..." : ""}`
}

const checkWhich = (id: string | undefined, { all, subject }: ParkedRedriveFlags) =>
  [id, all, subject].filter((given) => given !== undefined).length === 1
    ? Effect.void
    : Effect.fail(usage("say which: an <id>, or --subject <subject>, or --all"))

const redriveAnswer = Effect.fnUntraced(function* (id: string | undefined, { subject, why }: ParkedRedriveFlags) {
  const parked = yield* ParkedMessages
  const some = id === undefined ? yield* parked.newest({ limit: PARKED_KEPT_MAX, ...(subject === undefined ? {} : { subject }) }) : [yield* found(id)]
  const redriven: Array<string> = []
  // The oldest first, as they came.
  for (const message of some.toReversed()) {
    yield* writeDown("redrive message", message, why)
    if (yield* parked.redrive(message.id)) redriven.push(message.id)
  }
  return {
    json: { redriven, by: userInfo().username, why },
    lines: [
      ...(redriven.length === 0 ? ["redriven   nothing: no such message is parked"] : redriven.map((one) => `redriven   ${one}`)),
      `by         ${userInfo().username}: ${why}`,
      "next       portcullis parked list (what nobody can read is parked again, under another id)"
    ]
  } satisfies Answer
})

const dropAnswer = Effect.fnUntraced(function* (id: string, why: string) {
  const message = yield* found(id)
  yield* writeDown("drop message", message, why)
  if (!(yield* ParkedMessages.use((parked) => parked.drop(id)))) return yield* failed("somebody else was quicker", OTHERS_EXIST)
  const by = userInfo().username
  return { json: { dropped: id, by, why }, lines: [`dropped    ${id}`, `by         ${by}: ${why}`] } satisfies Answer
})

const writeDown = (action: MessageAction, { id, subject }: ParkedMessage, why: string) =>
  Cluster.use((cluster) => cluster.noteMessageAction(action, `${id} ${subject}`, userInfo().username, why))

const age = (ms: number): string => {
  if (ms < 120_000) return `${Math.max(0, Math.round(ms / 1_000))} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}
