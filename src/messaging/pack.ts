/**
 * Puts items into envelopes that every receiver accepts: split by number and by bytes, texts clipped, the id made from the bytes.
 */
import { createHash } from "node:crypto"
import assert from "node:assert/strict"
import { ENVELOPE_BYTES_MAX, ITEMS_PER_ENVELOPE_MAX } from "../domain/limits.ts"
import type { OutcomeItem, StepOutcome, WorkItem } from "../domain/outcome.ts"
import { encodeEnvelope, ENVELOPE_VERSION, TEXT_LENGTH_MAX, type OutcomeEnvelope, type WorkEnvelope } from "./envelope.ts"

/** One message, ready to publish. */
export interface Packed<Item> {
  readonly body: Uint8Array
  /** The same bytes have the same id: only a true double is taken for one. */
  readonly messageId: string
  readonly items: ReadonlyArray<Item>
}

export interface PackOptions {
  readonly itemsMax?: number
  readonly traceparent?: string
  readonly deadlineMs?: number
}

export const packWork = (items: ReadonlyArray<WorkItem>, options: PackOptions = {}): ReadonlyArray<Packed<WorkItem>> =>
  pack(items, options, (chunk, head) => ({ v: ENVELOPE_VERSION, kind: "work", ...head, items: chunk }))

export const packOutcomes = (items: ReadonlyArray<OutcomeItem>, options: PackOptions = {}): ReadonlyArray<Packed<OutcomeItem>> =>
  pack(items.map(clipped), options, (chunk, head) => ({ v: ENVELOPE_VERSION, kind: "outcomes", ...head, items: chunk }))

type Head = Pick<PackOptions, "traceparent" | "deadlineMs">

const pack = <Item>(
  items: ReadonlyArray<Item>,
  { itemsMax = ITEMS_PER_ENVELOPE_MAX, ...head }: PackOptions,
  envelope: (chunk: ReadonlyArray<Item>, head: Head) => WorkEnvelope | OutcomeEnvelope
): ReadonlyArray<Packed<Item>> => {
  assert(itemsMax >= 1 && itemsMax <= ITEMS_PER_ENVELOPE_MAX, `1..${ITEMS_PER_ENVELOPE_MAX} items fit in an envelope`)
  const packed: Array<Packed<Item>> = []
  for (let start = 0; start < items.length; start += itemsMax) packChunk(items.slice(start, start + itemsMax))
  return packed

  function packChunk(chunk: ReadonlyArray<Item>): void {
    const body = encodeEnvelope(envelope(chunk, head))
    if (body.length <= ENVELOPE_BYTES_MAX) {
      packed.push({ body, messageId: createHash("sha256").update(body).digest("base64url"), items: chunk })
      return
    }
    assert(chunk.length > 1, "one item fits into an envelope: every field of it is bounded")
    const middle = Math.ceil(chunk.length / 2)
    packChunk(chunk.slice(0, middle))
    packChunk(chunk.slice(middle))
  }
}

/** As receivers want a text (envelope.ts): short, whole characters, no NUL. */
const clip = (text: string): string => text.slice(0, TEXT_LENGTH_MAX).toWellFormed().replaceAll("\u0000", "\ufffd")

const clipped = (item: OutcomeItem): OutcomeItem => {
  const { outcome } = item
  if (!("detail" in outcome) && outcome.type !== "postponed") return item
  return { ...item, outcome: clippedOutcome(outcome) }
}

const clippedOutcome = (outcome: StepOutcome): StepOutcome => {
  switch (outcome.type) {
    case "halted":
      return { ...outcome, reason: clip(outcome.reason), detail: clip(outcome.detail) }
    case "refused":
    case "expired":
      return { ...outcome, detail: clip(outcome.detail) }
    case "postponed":
      return { ...outcome, reason: clip(outcome.reason) }
    default:
      return outcome
  }
}
