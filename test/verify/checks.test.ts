/** The checks hold of everything that the machine can do, and each notices what it is for, and nothing else does. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { check, type CheckName, CHECKS } from "../../bin/verify/check.ts"
import { OVERDUE_MS_MAX } from "../../bin/verify/c6-liveness.ts"
import type { Records } from "../../bin/verify/records.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import { anyEvent, FACTS, HOME } from "../machines/request-events.ts"
import { aRequest, retold, trueRecords, word } from "./true-records.ts"

const REQUESTS = [aRequest(1), aRequest(2), aRequest(3, FACTS.slice(0, 3)), aRequest(4, [])]
const TRUE = trueRecords(REQUESTS)
const [first, second, third, fourth] = REQUESTS as [AuditedRequest, AuditedRequest, AuditedRequest, AuditedRequest]

const withFirst = (change: (request: AuditedRequest) => Partial<AuditedRequest>): Records => ({
  ...TRUE,
  requests: [{ ...first, ...change(first) }, ...REQUESTS.slice(1)]
})

const withStored = (change: Partial<AuditedRequest["stored"]>): Records => withFirst(({ stored }) => ({ stored: { ...stored, ...change } }))
const withRetold = (rows: (history: AuditedRequest["history"]) => AuditedRequest["history"]): Records => ({
  ...TRUE,
  requests: [first, second, retold(third, rows(third.history)), fourth]
})
const lane = TRUE.lanes[0]!
const slot = lane.slots[1]!

test("records of a cluster that did everything right violate nothing, and every check had something to look at", () => {
  const { verdicts, violations } = check(TRUE)
  expect(violations).toEqual([])
  for (const name of Object.keys(CHECKS) as Array<CheckName>) expect(verdicts[name].looked, name).toBeGreaterThan(0)
})

test("whatever happens to a request, as long as the machine decides, its history is one and can be replayed", () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 12 }), (events) => {
      const { C3, C7 } = check(trueRecords([aRequest(1, events)])).verdicts
      expect([...C3.violations, ...C7.violations]).toEqual([])
    })
  )
})

const SPOILED: ReadonlyArray<readonly [what: string, check: CheckName, records: Records]> = [
  ["a request on chain that has no row", "C1", { ...TRUE, chain: { ...TRUE.chain, requested: [...TRUE.chain.requested, { requestId: word(9), blockNumber: 5 }] } }],
  ["a request that was fulfilled twice", "C2", { ...TRUE, chain: { ...TRUE.chain, fulfilled: [...TRUE.chain.fulfilled, { requestId: word(1), txHash: word(77), blockNumber: 111 }] } }],
  ["a finalized request that no block has fulfilled", "C2", { ...TRUE, chain: { ...TRUE.chain, fulfilled: [] } }],
  ["a finalized request whose row names another transaction", "C2", { ...TRUE, chain: { ...TRUE.chain, fulfilled: TRUE.chain.fulfilled.map((one) => ({ ...one, txHash: word(78) })) } }],
  [
    "an expired request that was fulfilled all the same",
    "C2",
    {
      ...trueRecords([aRequest(1, [{ type: "expired", detail: "too late" }])]),
      chain: { ...TRUE.chain, requested: [], fulfilled: [{ requestId: word(1), txHash: word(79), blockNumber: 120 }] }
    }
  ],
  [
    "a refused request that was fulfilled all the same",
    "C2",
    {
      ...trueRecords([aRequest(1, [{ type: "refused", reason: "not-public", detail: "no" }])]),
      chain: { ...TRUE.chain, requested: [], fulfilled: [{ requestId: word(1), txHash: word(79), blockNumber: 120 }] }
    }
  ],
  ["a transition that is missing", "C3", withStored({ version: first.stored.version + 1 })],
  ["a transition that was rewritten", "C3", withFirst(({ history }) => ({ history: history.map((row) => (row.seq === 3 ? { ...row, worker: "somebody else" } : row)) }))],
  ["a row that stands elsewhere than its history leads", "C3", withFirst(({ stored }) => ({ stored: { ...stored, state: "halted" } }))],
  ["more nodes recorded than may be asked", "C4", withFirst(() => ({ asked: { nodes: [1, 2, 3], budget: 2 } }))],
  [
    "a node that answered without being recorded as asked",
    "C4",
    { ...TRUE, nodes: [...TRUE.nodes!, { node: 2, answers: [{ requestId: word(1), atMs: 4_000 }] }] }
  ],
  [
    "k nodes that answered before the access check",
    "C4",
    { ...TRUE, nodes: [1, 3].map((node) => ({ node, answers: [{ requestId: word(1), atMs: -1 }] })) }
  ],
  ["k nodes that answered a request whose access was never checked", "C4", { ...TRUE, requests: [...REQUESTS.slice(0, 3), { ...aRequest(4, []), asked: { nodes: [1, 3], budget: 3 } }], nodes: [1, 3].map((node) => ({ node, answers: [{ requestId: word(4), atMs: 4_000 }] })) }],
  ["shares under an epoch that nobody knows", "C4", { ...TRUE, thresholds: new Map() }],
  ["a nonce that was left out", "C5", { ...TRUE, lanes: [{ ...lane, slots: [slot, { ...slot, nonce: 11 }], nextNonce: 12 }] }],
  ["a next nonce that skips one", "C5", { ...TRUE, lanes: [{ ...lane, nextNonce: 10 }] }],
  ["a nonce that stands there twice", "C5", { ...TRUE, lanes: [{ ...lane, slots: [lane.slots[0]!, lane.slots[0]!, slot] }] }],
  ["attempts of which one is missing", "C5", { ...TRUE, lanes: [{ ...lane, slots: [{ ...slot, attempts: slot.attempts.slice(1) }] }] }],
  ["a nonce without an attempt", "C5", { ...TRUE, lanes: [{ ...lane, slots: [{ ...slot, attempts: [] }] }] }],
  ["a nonce that was used for two batches", "C5", { ...TRUE, lanes: [{ ...lane, slots: [{ ...slot, attempts: slot.attempts.map((one, index) => ({ ...one, root: word(index) })) }] }] }],
  ["a request under way that nobody will look at again", "C6", { ...TRUE, requests: [first, second, { ...third, overdueMs: null }, fourth] }],
  ["a request that is overdue beyond every explanation", "C6", { ...TRUE, requests: [first, second, { ...third, overdueMs: OVERDUE_MS_MAX + 1 }, fourth] }],
  ["an ended request that is still waited for", "C6", withFirst(() => ({ overdueMs: -1 }))],
  ["a listener that has fallen behind", "C6", { ...TRUE, chain: { ...TRUE.chain, cursorBlock: 100 } }],
  ["a listener that has read nothing", "C6", { ...TRUE, chain: { ...TRUE.chain, cursorBlock: null } }],
  ["a snapshot that the history does not lead to", "C7", withStored({ snapshot: { value: "finalized", context: { anchor: HOME, known: {} } } })],
  ["a history that does not begin with its detection", "C7", withRetold((rows) => rows.map((row, index) => (index === 0 ? { ...row, event: rows[1]!.event } : row)))],
  ["a second birth", "C7", withRetold((rows) => [...rows, { ...rows[0]!, from: rows.at(-1)!.to }])],
  ["an event that the machine ignores where it stands", "C7", withRetold((rows) => [...rows, { ...rows[1]!, from: rows.at(-1)!.to, to: rows.at(-1)!.to }])],
  ["a step that leads elsewhere than the machine would go", "C7", withRetold((rows) => rows.map((row, index) => (index === rows.length - 1 ? { ...row, to: "submitted" } : row)))]
]

describe("is noticed, by the check that is for it:", () => {
  test.each(SPOILED)("%s", (_what, name, records) => {
    const { violations } = check(records)
    expect(violations.map((violation) => violation.check)).toContain(name)
    expect(new Set(violations.map((violation) => violation.check)).size, JSON.stringify(violations)).toBe(1)
  })
})

test("a transition that the machine would never have made is noticed although its hashes are right", () => {
  const forged = aRequest(1, FACTS.slice(0, 1))
  const skipped = { ...forged, history: aRequest(1, FACTS.slice(0, 2)).history.filter(({ seq }) => seq !== 2).map((row, index) => ({ ...row, seq: index + 1 })) }
  expect(check(trueRecords([skipped])).violations.some((violation) => violation.check === "C7")).toBe(true)
})

test("nonces that a final block has used up with other bytes are no gap", () => {
  const slots = [{ ...slot, nonce: 3 }, slot]
  expect(check({ ...TRUE, lanes: [{ ...lane, slots }] }).violations).toEqual([])
})

test("without the nodes' own logs the leak bound is not said to hold", () => {
  const { C4 } = check({ ...TRUE, nodes: null }).verdicts
  expect(C4).toEqual({ looked: 0, violations: [], unchecked: "no KMS node's own log was given" })
})

test("what nodes answered before a failover of the database is not held against what it forgot, and this is said; what they answered later is", () => {
  const forgotten = { ...TRUE, requests: REQUESTS.map((request) => ({ ...request, asked: null })), lostUntilMs: 60_000 }
  const { C4 } = check(forgotten).verdicts
  expect(C4.violations).toEqual([])
  expect(C4).toMatchObject({ looked: 0, unchecked: expect.stringMatching(/^\d+ answers before 1970-01-01T00:01:02\.000Z, when the database failed over$/) })
  const later = { ...forgotten, nodes: [{ node: 1, answers: [{ requestId: word(1), atMs: 62_000 }] }] }
  expect(check(later).verdicts.C4).toMatchObject({ looked: 1, violations: [{ subject: word(1) }] })
  expect(check({ ...later, requests: REQUESTS }).verdicts.C4.violations).toEqual([])
})

test("snapshots of a newer build are left to that build, and this is said", () => {
  const { C7 } = check(withStored({ machineVersion: 99 })).verdicts
  expect(C7).toEqual({ looked: 3, violations: [], unchecked: "1 requests have snapshots of a newer build" })
})
