/** Envelopes come from outside: whatever bytes arrive, the answer is an envelope or one typed refusal. */
import { Effect, Exit } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { ENDS, JOURNEY } from "../../src/domain/journey.ts"
import {
  COMMITTEE_NODES_MAX,
  ENVELOPE_BYTES_MAX,
  HANDLES_PER_REQUEST_MAX,
  ITEMS_PER_ENVELOPE_MAX
} from "../../src/domain/limits.ts"
import { REFUSAL_REASONS, type OutcomeItem, type StepOutcome } from "../../src/domain/outcome.ts"
import type { Hex } from "../../src/domain/hex.ts"
import {
  decodeOutcomes,
  decodeWork,
  encodeEnvelope,
  EnvelopeMalformed,
  TEXT_LENGTH_MAX,
  type OutcomeEnvelope,
  type WorkEnvelope
} from "../../src/messaging/envelope.ts"
import { packOutcomes, packWork } from "../../src/messaging/pack.ts"

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true })
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes): Hex => `0x${Buffer.from(bytes).toString("hex")}`)
const count = fc.maxSafeNat()
const text = fc.string({ unit: "binary", maxLength: 60 }).map((any) => any.toWellFormed().replaceAll("\u0000", "?"))
const block = record({ blockNumber: count, blockHash: hash })
const nodes = fc.array(fc.nat(64), { maxLength: COMMITTEE_NODES_MAX })
const outcome: fc.Arbitrary<StepOutcome> = fc.oneof(
  record({ type: fc.constant("acl-checked" as const), block }),
  record({ type: fc.constant("ciphertext-fetched" as const), digests: fc.array(hash, { maxLength: HANDLES_PER_REQUEST_MAX }) }),
  record({ type: fc.constant("shares-collected" as const), nodes }),
  record({ type: fc.constant("threshold-verified" as const), root: hash, resultHash: hash, nodes, liars: nodes }),
  record({ type: fc.constant("submitted" as const), txHash: hash, block }),
  record({ type: fc.constant("finalized" as const), txHash: hash, block }),
  record({ type: fc.constant("refused" as const), reason: fc.constantFrom(...REFUSAL_REASONS), detail: text }),
  record({ type: fc.constant("expired" as const), detail: text }),
  record({ type: fc.constant("halted" as const), reason: text, detail: text }),
  record({ type: fc.constant("result-lost" as const) }),
  record({ type: fc.constant("postponed" as const), reason: text, retryAfterMs: count })
)
const workItem = record({ requestId: hash, version: count })
const outcomeItem: fc.Arbitrary<OutcomeItem> = record({
  requestId: hash,
  version: count,
  reached: fc.constantFrom(...JOURNEY),
  outcome
})
const hexDigits = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length })
const traceparent = fc.tuple(hexDigits(32), hexDigits(16), hexDigits(2)).map((parts) => `00-${parts.join("-")}`)
const head = fc.record({ traceparent, deadlineMs: count }, { requiredKeys: [], noNullPrototype: true })
const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: ITEMS_PER_ENVELOPE_MAX })
const workEnvelope: fc.Arbitrary<WorkEnvelope> = fc
  .tuple(head, listOf(workItem))
  .map(([of, items]) => ({ v: 1, kind: "work", ...of, items }))
const outcomeEnvelope: fc.Arbitrary<OutcomeEnvelope> = fc
  .tuple(head, listOf(outcomeItem))
  .map(([of, items]) => ({ v: 1, kind: "outcomes", ...of, items }))

const decoders = [["work", decodeWork], ["outcomes", decodeOutcomes]] as const
const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value))

/** Decodes, and insists that a failure is the one typed failure. */
const verdictOn = (body: Uint8Array, decode: (typeof decoders)[number][1]): "read" | EnvelopeMalformed => {
  const exit = Effect.runSyncExit(Effect.flip(decode(body) as Effect.Effect<unknown, EnvelopeMalformed>))
  if (Exit.isFailure(exit)) {
    assert(!Exit.hasDies(exit), "decoding never dies")
    return "read"
  }
  assert(exit.value instanceof EnvelopeMalformed)
  assert.equal(exit.value.fate, "halt")
  assert(exit.value.reason.length <= 300, "a reason is short enough for a header")
  assert.doesNotMatch(exit.value.reason, /\n/, "and in one line")
  return exit.value
}
const isRefused = (value: unknown, decode: (typeof decoders)[number][1] = decodeOutcomes) =>
  verdictOn(bytes(value), decode) instanceof EnvelopeMalformed

describe("an envelope", () => {
  test("of work is read as it was written", () => {
    fc.assert(fc.property(workEnvelope, (envelope) => {
      assert.deepEqual(Effect.runSync(decodeWork(encodeEnvelope(envelope))), envelope)
    }))
  })

  test("of outcomes is read as it was written", () => {
    fc.assert(fc.property(outcomeEnvelope, (envelope) => {
      assert.deepEqual(Effect.runSync(decodeOutcomes(encodeEnvelope(envelope))), envelope)
    }))
  })

  test("made of any bytes is malformed and never throws", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 4_096 }), fc.constantFrom(...decoders), (body, [, decode]) => {
      assert(verdictOn(body, decode) instanceof EnvelopeMalformed)
    }), { numRuns: 500 })
  })

  test("made of any JSON is malformed and never throws", () => {
    fc.assert(fc.property(fc.json(), fc.constantFrom(...decoders), (body, [, decode]) => {
      assert(verdictOn(bytes(body), decode) instanceof EnvelopeMalformed)
    }), { numRuns: 500 })
  })

  test("with one byte changed is read or malformed, nothing else", () => {
    fc.assert(fc.property(outcomeEnvelope, fc.nat(), fc.nat(255), (envelope, at, value) => {
      const body = encodeEnvelope(envelope)
      body[at % body.length] = value
      verdictOn(body, decodeOutcomes)
    }), { numRuns: 300 })
  })

  test("with any value in place of a field is malformed or still means the same", () => {
    const replacement = fc.oneof(fc.anything(), fc.constantFrom(null, -1, 1.5, 2 ** 53, "", "0x", [], {}, "__proto__", ENDS))
    fc.assert(fc.property(outcomeItem, fc.nat(3), replacement, (item, which, value) => {
      const field = Object.keys(item)[which] ?? "version"
      const body = JSON.stringify({ v: 1, kind: "outcomes", items: [{ ...item, [field]: value }] }, (_, of: unknown) =>
        typeof of === "bigint" ? String(of) : of)
      verdictOn(bytes(body), decodeOutcomes)
    }), { numRuns: 500 })
  })

  test("nested a hundred thousand deep is malformed", () => {
    assert(isRefused(`${"[".repeat(100_000)}${"]".repeat(100_000)}`))
  })

  test("of another version or kind is malformed", () => {
    const item = { requestId: `0x${"0".repeat(64)}`, version: 1 }
    assert(!isRefused({ v: 1, kind: "work", items: [item] }, decodeWork))
    assert(isRefused({ v: 2, kind: "work", items: [item] }, decodeWork))
    assert(isRefused({ v: "1", kind: "work", items: [item] }, decodeWork))
    assert(isRefused({ v: 1, kind: "outcomes", items: [item] }, decodeWork))
    assert(isRefused({ v: 1, kind: "work", items: [item] }, decodeOutcomes))
  })

  test("carries 1 to 64 items", () => {
    const item = { requestId: `0x${"0".repeat(64)}`, version: 1 }
    const envelope = (length: number) => ({ v: 1, kind: "work", items: Array.from({ length }, () => item) })
    assert(isRefused(envelope(0), decodeWork))
    assert(!isRefused(envelope(ITEMS_PER_ENVELOPE_MAX), decodeWork))
    assert(isRefused(envelope(ITEMS_PER_ENVELOPE_MAX + 1), decodeWork))
  })

  test("over the size bound is refused before it is parsed", () => {
    const refused = verdictOn(Buffer.alloc(ENVELOPE_BYTES_MAX + 1, "{"), decodeWork)
    assert(refused instanceof EnvelopeMalformed)
    assert.match(refused.reason, /at most 524288 are read/)
  })

  test("with bytes that are not UTF-8 is malformed", () => {
    const body = Buffer.from(JSON.stringify({ v: 1, kind: "outcomes", items: [] }))
    body[3] = 0xff
    assert(verdictOn(body, decodeOutcomes) instanceof EnvelopeMalformed)
  })

  test("with fields that we do not know yet is read, without them", () => {
    const requestId = `0x${"0".repeat(64)}`
    const newer = { v: 1, kind: "work", later: true, items: [{ requestId, version: 1, more: 1 }] }
    assert.deepEqual(Effect.runSync(decodeWork(bytes(newer))), { v: 1, kind: "work", items: [{ requestId, version: 1 }] })
  })

  test("with a request id, digest or trace that is not exactly one is malformed", () => {
    const zeros = (length: number) => `0x${"0".repeat(length)}`
    for (const requestId of ["0x", "00".repeat(32), zeros(63), zeros(66), `0x${"A".repeat(64)}`, `${zeros(64)}\n`]) {
      assert(isRefused({ v: 1, kind: "work", items: [{ requestId, version: 1 }] }, decodeWork), JSON.stringify(requestId))
    }
    const item = { requestId: `0x${"0".repeat(64)}`, version: 1 }
    assert(isRefused({ v: 1, kind: "work", traceparent: "00-x", items: [item] }, decodeWork))
    assert(isRefused({ v: 1, kind: "work", items: [{ ...item, version: -1 }] }, decodeWork))
  })
})

describe("packing", () => {
  test("loses nothing, keeps the order, and makes only what receivers read", () => {
    fc.assert(fc.property(fc.array(outcomeItem, { maxLength: 200 }), (items) => {
      const packed = packOutcomes(items)
      assert.deepEqual(packed.flatMap((message) => message.items), items)
      assert.deepEqual(packed.flatMap(({ body }) => Effect.runSync(decodeOutcomes(body)).items), items)
      assert(packed.every((message) => message.items.length <= ITEMS_PER_ENVELOPE_MAX))
    }), { numRuns: 50 })
  })

  test("splits by bytes where texts are dear to write", () => {
    const detail = "\u0001".repeat(TEXT_LENGTH_MAX)
    const items = Array.from({ length: ITEMS_PER_ENVELOPE_MAX }, (_, version): OutcomeItem => ({
      requestId: `0x${"ab".repeat(32)}`,
      version,
      reached: "detected",
      outcome: { type: "halted", reason: detail, detail }
    }))
    const packed = packOutcomes(items)
    assert(packed.length > 1)
    assert(packed.every(({ body }) => body.length <= ENVELOPE_BYTES_MAX))
    assert.deepEqual(packed.flatMap(({ body }) => Effect.runSync(decodeOutcomes(body)).items), items)
  })

  test("mends texts that a database would refuse, and refuses them on arrival", () => {
    const base = { requestId: `0x${"ab".repeat(32)}`, version: 1, reached: "detected" } as const
    const cases = [["nul \0", "nul \ufffd"], ["half \ud83d", "half \ufffd"], ["whole \ud83d\ude00", "whole \ud83d\ude00"]] as const
    for (const [detail, mended] of cases) {
      const item: OutcomeItem = { ...base, outcome: { type: "expired", detail } }
      const [message] = packOutcomes([item])
      assert(message !== undefined)
      assert.deepEqual(Effect.runSync(decodeOutcomes(message.body)).items[0]?.outcome, { type: "expired", detail: mended })
      assert.equal(isRefused({ v: 1, kind: "outcomes", items: [item] }), detail !== mended)
    }
  })

  test("clips texts that no receiver would accept", () => {
    const long = "x".repeat(TEXT_LENGTH_MAX + 1)
    const base = { requestId: `0x${"ab".repeat(32)}`, version: 1, reached: "detected" } as const
    const items: ReadonlyArray<OutcomeItem> = [
      { ...base, outcome: { type: "halted", reason: long, detail: long } },
      { ...base, outcome: { type: "refused", reason: "not-allowed", detail: long } },
      { ...base, outcome: { type: "expired", detail: long } },
      { ...base, outcome: { type: "postponed", reason: long, retryAfterMs: 1 } }
    ]
    const [message] = packOutcomes(items)
    assert(message !== undefined)
    assert.equal(Effect.runSync(decodeOutcomes(message.body)).items.length, 4)
  })

  test("names the same bytes alike and other bytes differently", () => {
    fc.assert(fc.property(fc.array(workItem, { minLength: 2, maxLength: 64 }), (items) => {
      const [one] = packWork(items)
      const [again] = packWork(items)
      const [other] = packWork(items.slice(1))
      assert.equal(one?.messageId, again?.messageId)
      assert.notEqual(one?.messageId, other?.messageId)
    }), { numRuns: 50 })
  })

  test("keeps the trace and the deadline in every envelope", () => {
    const of = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, deadlineMs: 17 }
    const items = Array.from({ length: 10 }, (_, version) => ({ requestId: `0x${"ab".repeat(32)}` as const, version }))
    const packed = packWork(items, { ...of, itemsMax: 4 })
    assert.equal(packed.length, 3)
    for (const { body } of packed) {
      const { traceparent: trace, deadlineMs } = Effect.runSync(decodeWork(body))
      assert.deepEqual({ traceparent: trace, deadlineMs }, of)
    }
  })
})
