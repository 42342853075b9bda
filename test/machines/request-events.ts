/** Events of a request for the tests of its machine: one of each kind, and generators of many. */
import fc from "fast-check"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import type { Anchor } from "../../src/domain/request.ts"

export const HOME: Anchor = { blockNumber: 100, blockHash: `0x${"a0".repeat(32)}`, logIndex: 3 }
export const ELSEWHERE: Anchor = { blockNumber: 101, blockHash: `0x${"b1".repeat(32)}`, logIndex: 0 }

const LATER = { blockNumber: 110, blockHash: `0x${"c2".repeat(32)}` } as const
const OTHER = { blockNumber: 111, blockHash: `0x${"d3".repeat(32)}` } as const
const TX = `0x${"e4".repeat(32)}` as const

/** The journey's facts in order: each is accepted in the state that the one before it led to. */
export const FACTS = [
  { type: "acl-checked", block: LATER },
  { type: "ciphertext-fetched", digests: ["0x01", "0x02"] },
  { type: "shares-collected", nodes: [1, 3] },
  { type: "threshold-verified", root: "0x0a", resultHash: "0x0b", nodes: [1, 3], liars: [2] },
  { type: "submitted", txHash: TX, block: LATER },
  { type: "finalized", txHash: TX, block: LATER }
] as const satisfies ReadonlyArray<RequestEvent>

export const RESUBMITTED: RequestEvent = { type: "submitted", txHash: TX, block: OTHER }

/** At least one event of every type; two where the answer depends on more than the type. */
export const EVENTS: ReadonlyArray<RequestEvent> = [
  ...FACTS,
  RESUBMITTED,
  { type: "refused", reason: "not-allowed", detail: "the access list says no" },
  { type: "expired", detail: "too late" },
  { type: "halted", reason: "impossible-answer", detail: "a bug" },
  { type: "orphaned", block: HOME },
  { type: "orphaned", block: LATER },
  { type: "moved", anchor: HOME },
  { type: "moved", anchor: ELSEWHERE },
  { type: "cancelled", by: "operator", why: "asked to" },
  { type: "result-lost" },
  { type: "redriven", by: "operator", why: "mended" }
]

export const anyEvent: fc.Arbitrary<RequestEvent> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...FACTS) },
  { weight: 1, arbitrary: fc.constantFrom(...EVENTS) },
  { weight: 1, arbitrary: fc.nat(3).map((blockNumber): RequestEvent => ({ type: "moved", anchor: anchorAt(blockNumber) })) },
  { weight: 1, arbitrary: fc.nat(3).map((blockNumber): RequestEvent => ({ type: "orphaned", block: anchorAt(blockNumber) })) }
)

const anchorAt = (blockNumber: number): Anchor => ({
  blockNumber,
  blockHash: `0x${String(blockNumber).padStart(64, "0")}`,
  logIndex: 0
})
