import fc from "fast-check"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import { JOURNEY, type RequestState } from "../../src/domain/journey.ts"
import type { TransitionView } from "../../src/domain/outcome.ts"
import { canonicalJson, GENESIS, transitionDigest, transitionHash, verifyHistory } from "../../src/ledger/hash-chain.ts"

const REQUEST: Hex = `0x${"11".repeat(32)}`

/** As histories from before machine version 2 may have it. The digest is about what was stored, not about what can happen today. */
const OLD_EVENT = { type: "deadline-passed" } as unknown as TransitionView["event"]

const aHistory = (states: ReadonlyArray<RequestState>): ReadonlyArray<TransitionView> => {
  let previous = GENESIS
  return states.map((to, index) => {
    const row = {
      seq: index + 1,
      from: states[index - 1] ?? null,
      to,
      event: OLD_EVENT,
      atMs: 1_795_000_000_000 + index,
      worker: `worker-${index}`
    }
    previous = transitionHash(previous, transitionDigest({ requestId: REQUEST, ...row }), row.atMs)
    return { ...row, hash: previous }
  })
}

const histories = fc.array(fc.constantFrom<RequestState>(...JOURNEY), { minLength: 1, maxLength: 8 }).map(aHistory)
const tailOf = (history: ReadonlyArray<TransitionView>): Hex => history.at(-1)?.hash ?? GENESIS

test("an untouched history is intact", () => {
  fc.assert(fc.property(histories, (history) => {
    assert.deepEqual(verifyHistory(REQUEST, history, tailOf(history)), { type: "intact" })
  }))
})

test("any altered field of any row is found at that row", () => {
  const changes: ReadonlyArray<(row: TransitionView) => Partial<TransitionView>> = [
    (row) => ({ seq: row.seq + 1 }),
    () => ({ from: "halted" }),
    () => ({ to: "halted" }),
    () => ({ event: { type: "cancelled", by: "nobody", why: "" } }),
    (row) => ({ atMs: row.atMs + 1 }),
    (row) => ({ worker: `${row.worker}x` }),
    () => ({ hash: GENESIS })
  ]
  fc.assert(fc.property(histories, fc.nat(), fc.constantFrom(...changes), (history, which, change) => {
    const index = which % history.length
    const altered = history.map((row, at) => (at === index ? { ...row, ...change(row) } : row))
    assert.deepEqual(verifyHistory(REQUEST, altered, tailOf(history)), { type: "tampered", brokenAt: index + 1 })
  }))
})

test("a dropped row is found, the last one by the tail", () => {
  fc.assert(fc.property(histories, fc.nat(), (history, which) => {
    const index = which % history.length
    const dropped = history.filter((_, at) => at !== index)
    assert.deepEqual(verifyHistory(REQUEST, dropped, tailOf(history)), { type: "tampered", brokenAt: index + 1 })
  }))
})

test("the history of another request does not pass for this one's", () => {
  const history = aHistory(["detected"])
  assert.equal(verifyHistory(`0x${"22".repeat(32)}`, history, tailOf(history)).type, "tampered")
})

test("canonical JSON does not depend on the order of keys, and means the same as JSON", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))
  }))
  assert.equal(canonicalJson({ b: 1, a: [undefined, { d: null, c: "ä" }], e: undefined }), `{"a":[null,{"c":"ä","d":null}],"b":1}`)
})

test("the digest is pinned: a change of its format would make every kept history look tampered", () => {
  const [row] = aHistory(["detected"])
  assert.equal(row?.hash, "0x112857a449208fd924eec8e0bc05c74bdbee2c0353f3579a8e638dfa799f7395")
})
