/** What travels on the bus: versioned, size-bounded, schema-checked on arrival. Hints only; losing one costs time, never a request. */
import { Effect, Schema } from "effect"
import { ENVELOPE_BYTES_MAX, ITEMS_PER_ENVELOPE_MAX } from "../domain/limits.ts"
import { JOURNEY } from "../domain/journey.ts"
import type { OutcomeItem, StepOutcome, WorkItem } from "../domain/outcome.ts"
import type { Fate } from "../domain/fate.ts"

export const ENVELOPE_VERSION = 1

const HexText = Schema.String.check(Schema.isPattern(/^0x(?:[0-9a-f]{2})*$/))
const RequestIdText = Schema.String.check(Schema.isPattern(/^0x[0-9a-f]{64}$/))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Text = Schema.String.check(Schema.isMaxLength(1_000))
const Block = Schema.Struct({ blockNumber: Count, blockHash: HexText })
const NodeIds = Schema.Array(Count).check(Schema.isMaxLength(32))

const Outcome = Schema.Union([
  Schema.Struct({ type: Schema.Literal("acl-checked"), block: Block }),
  Schema.Struct({ type: Schema.Literal("ciphertext-fetched"), digests: Schema.Array(HexText).check(Schema.isMaxLength(32)) }),
  Schema.Struct({ type: Schema.Literal("shares-collected"), nodes: NodeIds }),
  Schema.Struct({
    type: Schema.Literal("threshold-verified"),
    root: HexText,
    resultHash: HexText,
    nodes: NodeIds,
    liars: NodeIds
  }),
  Schema.Struct({ type: Schema.Literal("submitted"), txHash: HexText, block: Block }),
  Schema.Struct({ type: Schema.Literal("finalized"), txHash: HexText, block: Block }),
  Schema.Struct({ type: Schema.Literal("refused"), reason: Text, detail: Text }),
  Schema.Struct({ type: Schema.Literal("expired"), detail: Text }),
  Schema.Struct({ type: Schema.Literal("halted"), reason: Text, detail: Text }),
  Schema.Struct({ type: Schema.Literal("postponed"), reason: Text, retryAfterMs: Count })
])

const items = <S extends Schema.Top>(item: S) =>
  Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(ITEMS_PER_ENVELOPE_MAX))

const Head = {
  v: Schema.Literal(ENVELOPE_VERSION),
  /** W3C trace context of the publisher. */
  traceparent: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/))),
  /** Unix milliseconds after which nobody needs the answer any more: the earliest deadline among the items. */
  deadlineMs: Schema.optionalKey(Count)
}

const Work = Schema.Struct({ ...Head, kind: Schema.Literal("work"), items: items(Schema.Struct({ requestId: RequestIdText, version: Count })) })

const Outcomes = Schema.Struct({
  ...Head,
  kind: Schema.Literal("outcomes"),
  items: items(
    Schema.Struct({ requestId: RequestIdText, version: Count, reached: Schema.Literals(JOURNEY), outcome: Outcome })
  )
})

export interface WorkEnvelope {
  readonly v: 1
  readonly kind: "work"
  readonly traceparent?: string
  readonly deadlineMs?: number
  readonly items: ReadonlyArray<WorkItem>
}

export interface OutcomeEnvelope {
  readonly v: 1
  readonly kind: "outcomes"
  readonly traceparent?: string
  readonly deadlineMs?: number
  readonly items: ReadonlyArray<OutcomeItem>
}

/** The bytes are not an envelope that we know. They are parked and counted; nothing else happens. */
export class EnvelopeMalformed extends Schema.TaggedError<EnvelopeMalformed>()("EnvelopeMalformed", {
  reason: Schema.String
}) {
  readonly fate: Fate = "halt"
}

export const encodeEnvelope = (envelope: WorkEnvelope | OutcomeEnvelope): Uint8Array => Buffer.from(JSON.stringify(envelope))

const decode = <S extends Schema.Top & { readonly DecodingServices: never }>(schema: S) => {
  const decodeUnknown = Schema.decodeUnknownEffect(schema)
  return (bytes: Uint8Array): Effect.Effect<S["Type"], EnvelopeMalformed> => {
    if (bytes.length > ENVELOPE_BYTES_MAX) {
      return Effect.fail(new EnvelopeMalformed({ reason: `${bytes.length} bytes, at most ${ENVELOPE_BYTES_MAX} are read` }))
    }
    return Effect.try({
      try: () => JSON.parse(Buffer.from(bytes).toString("utf8")) as unknown,
      catch: () => new EnvelopeMalformed({ reason: "not JSON" })
    }).pipe(
      Effect.flatMap((json) =>
        decodeUnknown(json).pipe(Effect.mapError((error) => new EnvelopeMalformed({ reason: String(error.message).slice(0, 300) })))
      )
    )
  }
}

export const decodeWork = (bytes: Uint8Array) => decode(Work)(bytes) as Effect.Effect<WorkEnvelope, EnvelopeMalformed>
export const decodeOutcomes = (bytes: Uint8Array) => decode(Outcomes)(bytes) as Effect.Effect<OutcomeEnvelope, EnvelopeMalformed>

export type { StepOutcome }
