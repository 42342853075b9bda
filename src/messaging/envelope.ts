/**
 * What travels on the bus: versioned, size-bounded, schema-checked on arrival. Hints only: a lost one costs time, never a request.
 */
import { Effect, Schema } from "effect"
import { COMMITTEE_NODES_MAX, ENVELOPE_BYTES_MAX, HANDLES_PER_REQUEST_MAX, ITEMS_PER_ENVELOPE_MAX } from "../domain/limits.ts"
import { JOURNEY } from "../domain/journey.ts"
import { REFUSAL_REASONS, type OutcomeItem, type WorkItem } from "../domain/outcome.ts"
import type { Fate } from "../domain/fate.ts"

export const ENVELOPE_VERSION = 1

/** Reasons and details, in UTF-16 code units. Senders clip (pack.ts), receivers refuse. */
export const TEXT_LENGTH_MAX = 1_000

const Hash = Schema.String.check(Schema.isPattern(/^0x[0-9a-f]{64}$/))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
/** No NUL and no half surrogate pair: PostgreSQL's jsonb, where these texts end, takes neither. */
const Text = Schema.String.check(
  Schema.isMaxLength(TEXT_LENGTH_MAX),
  Schema.makeFilter((text) => text.isWellFormed() && !text.includes("\0"), { expected: "whole characters without NUL" })
)
const Block = Schema.Struct({ blockNumber: Count, blockHash: Hash })
const NodeIds = Schema.Array(Count).check(Schema.isMaxLength(COMMITTEE_NODES_MAX))

const Outcome = Schema.Union([
  Schema.Struct({ type: Schema.Literal("acl-checked"), block: Block }),
  Schema.Struct({
    type: Schema.Literal("ciphertext-fetched"),
    digests: Schema.Array(Hash).check(Schema.isMaxLength(HANDLES_PER_REQUEST_MAX))
  }),
  Schema.Struct({ type: Schema.Literal("shares-collected"), nodes: NodeIds }),
  Schema.Struct({ type: Schema.Literal("threshold-verified"), root: Hash, resultHash: Hash, nodes: NodeIds, liars: NodeIds }),
  Schema.Struct({ type: Schema.Literal("submitted"), txHash: Hash, block: Block }),
  Schema.Struct({ type: Schema.Literal("finalized"), txHash: Hash, block: Block }),
  Schema.Struct({ type: Schema.Literal("refused"), reason: Schema.Literals(REFUSAL_REASONS), detail: Text }),
  Schema.Struct({ type: Schema.Literal("expired"), detail: Text }),
  Schema.Struct({ type: Schema.Literal("halted"), reason: Text, detail: Text }),
  Schema.Struct({ type: Schema.Literal("result-lost") }),
  Schema.Struct({ type: Schema.Literal("postponed"), reason: Text, retryAfterMs: Count })
])

const items = <S extends Schema.Top>(item: S) =>
  Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(ITEMS_PER_ENVELOPE_MAX))

const Head = {
  v: Schema.Literal(ENVELOPE_VERSION),
  /** W3C trace context of the publisher. */
  traceparent: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/))),
  /** Unix milliseconds after which nobody needs the answer any more: the latest deadline among the items. */
  deadlineMs: Schema.optionalKey(Count)
}

const Work = Schema.Struct({
  ...Head,
  kind: Schema.Literal("work"),
  items: items(Schema.Struct({ requestId: Hash, version: Count }))
})

const Outcomes = Schema.Struct({
  ...Head,
  kind: Schema.Literal("outcomes"),
  items: items(
    Schema.Struct({ requestId: Hash, version: Count, reached: Schema.Literals(JOURNEY), outcome: Outcome })
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

/** Of what is said about a malformed envelope, in UTF-16 code units. It may quote the sender. */
const REASON_LENGTH_MAX = 300

/** As it goes into a header and stands in a list. */
const inOneLine = (text: string): string => text.replaceAll(/\s+/g, " ")

const utf8 = new TextDecoder("utf-8", { fatal: true })

const decoder = <S extends Schema.Top & { readonly DecodingServices: never }>(schema: S) => {
  const decodeUnknown = Schema.decodeUnknownEffect(schema)
  return (bytes: Uint8Array): Effect.Effect<S["Type"], EnvelopeMalformed> => {
    if (bytes.length > ENVELOPE_BYTES_MAX) {
      return Effect.fail(new EnvelopeMalformed({ reason: `${bytes.length} bytes, at most ${ENVELOPE_BYTES_MAX} are read` }))
    }
    return Effect.try({
      try: () => JSON.parse(utf8.decode(bytes)) as unknown,
      catch: () => new EnvelopeMalformed({ reason: "not JSON" })
    }).pipe(
      Effect.flatMap((json) =>
        decodeUnknown(json).pipe(
          Effect.mapError((error) => new EnvelopeMalformed({ reason: inOneLine(String(error.message)).slice(0, REASON_LENGTH_MAX) }))
        )
      )
    )
  }
}

const decodeWorkEnvelope = decoder(Work)
const decodeOutcomeEnvelope = decoder(Outcomes)

/** 27 us for 64 items (bench/bus.ts). The schema and the interface say the same; a test holds them together. */
export const decodeWork = (bytes: Uint8Array) => decodeWorkEnvelope(bytes) as Effect.Effect<WorkEnvelope, EnvelopeMalformed>
/** 84 us for 64 items. */
export const decodeOutcomes = (bytes: Uint8Array) =>
  decodeOutcomeEnvelope(bytes) as Effect.Effect<OutcomeEnvelope, EnvelopeMalformed>
