/** The walk through the whole ledger finds what one look over the same requests finds, with a page of them in memory, and goes on where it is told. */
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { expect, test } from "vitest"
import { check } from "../../bin/verify/check.ts"
import type { Records } from "../../bin/verify/records.ts"
import { NAMED_MAX, type Progress, walkLedger } from "../../bin/verify/walk-ledger.ts"
import { type AuditedRequest, AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { FACTS } from "../machines/request-events.ts"
import { aRequest, trueRecords, word } from "./true-records.ts"

const REQUESTS = [1, 2, 3, 4, 5].map((n) => aRequest(n, n % 2 === 0 ? FACTS.slice(0, 3) : FACTS))
const broken = (request: AuditedRequest): AuditedRequest => ({
  ...request,
  history: request.history.map((row) => (row.seq === 2 ? { ...row, worker: "somebody else" } : row))
})

interface Given {
  readonly stored?: ReadonlyArray<AuditedRequest>
  readonly before?: Records
  readonly after?: number
  readonly pageRequests?: number
  readonly pageMs?: number
}

/** `before`: what the look that comes first has seen. */
const walked = async ({ stored = REQUESTS, before = trueRecords([]), after, pageRequests = 2, pageMs = 0 }: Given = {}) => {
  const pages: Array<number> = []
  const said: Array<Progress> = []
  const found: Array<string> = []
  const ledger = Layer.succeed(AuditLedger, {
    page: (last: string | null, limit: number) =>
      Effect.gen(function* () {
        yield* TestClock.adjust(pageMs)
        const page = stored.filter(({ stored: { id } }) => last === null || id > last).slice(0, limit)
        pages.push(page.length)
        return page
      })
  } as unknown as AuditLedger["Service"])
  const walk = walkLedger(check(before), {
    ...{ after: after === undefined ? null : word(after), pageRequests, before },
    thresholdOf: () => Effect.succeed(2),
    onProgress: (progress) => void said.push(progress),
    onFound: ({ check: name, subject }) => void found.push(`${name} ${subject}`)
  })
  const { verdicts, violations, progress } = await walk.pipe(Effect.provide(ledger), Effect.provide(TestClock.layer()), Effect.runPromise)
  return { pages, said, found, verdicts, violations: violations.map(({ check: name, subject }) => `${name} ${subject}`), progress }
}

/** As the look answers it that saw none of the requests in the ledger. */
const UNSEEN: Records = { ...trueRecords(REQUESTS), requests: [], chain: { ...trueRecords(REQUESTS).chain, requested: [], fulfilled: [] } }

test("everything is looked at once, in pages, and nothing is wrong with what is right", async () => {
  const { pages, verdicts, violations, progress } = await walked({ before: UNSEEN })
  expect(violations).toEqual([])
  expect(pages).toEqual([2, 2, 1, 0])
  expect([verdicts.C3.looked, verdicts.C6.looked, verdicts.C7.looked]).toEqual([5, 5, 5])
  expect(progress).toEqual({ requests: 5, last: word(5), percent: 100, violations: 0 })
})

test("what the look before has seen is not counted twice, nor what it found named twice", async () => {
  const before = trueRecords([broken(REQUESTS[0]!), REQUESTS[1]!])
  const { verdicts, violations, found } = await walked({ before, stored: [broken(REQUESTS[0]!), ...REQUESTS.slice(1)] })
  expect(verdicts.C3.looked).toBe(5)
  expect(violations).toEqual([`C3 ${word(1)}`])
  expect(found).toEqual([`C3 ${word(1)}`])
})

test("a broken history in the last page is found, and said at once", async () => {
  const { violations, found, progress } = await walked({ stored: [...REQUESTS.slice(0, 4), broken(REQUESTS[4]!)], before: UNSEEN })
  expect(violations).toEqual([`C3 ${word(5)}`])
  expect(found).toEqual([`C3 ${word(5)}`])
  expect(progress.violations).toBe(1)
})

test("goes on after the request that it is told", async () => {
  const stored = [broken(REQUESTS[0]!), ...REQUESTS.slice(1, 4), broken(REQUESTS[4]!)]
  const { violations, progress } = await walked({ stored, before: UNSEEN, after: 3 })
  expect(violations).toEqual([`C3 ${word(5)}`])
  expect(progress.requests).toBe(2)
  expect((await walked({ stored, before: UNSEEN, after: 5 })).progress).toEqual({ requests: 0, last: word(5), percent: 100, violations: 0 })
})

test("names a bounded number of violations, and counts the rest", async () => {
  const many = Array.from({ length: NAMED_MAX + 7 }, (_, index) => broken(aRequest(index + 1)))
  const { verdicts, violations, found, progress } = await walked({ stored: many, before: UNSEEN, pageRequests: 10 })
  expect(violations).toHaveLength(NAMED_MAX)
  expect(found).toHaveLength(NAMED_MAX)
  expect(verdicts.C3).toMatchObject({ looked: NAMED_MAX + 7, more: 7 })
  expect(progress.violations).toBe(NAMED_MAX + 7)
})

test("holds every page against the nodes' own logs", async () => {
  const nodes = [...trueRecords(REQUESTS).nodes!, { node: 2, answers: [{ requestId: word(5), atMs: 4_000 }] }]
  const { violations, verdicts } = await walked({ before: { ...UNSEEN, nodes, thresholds: new Map() } })
  expect(violations).toEqual([`C4 ${word(5)}`])
  expect(verdicts.C4.looked).toBe(check({ ...UNSEEN, nodes }).verdicts.C4.looked)
})

test("says now and then how far it is, by the ids, and at the end", async () => {
  const spread = REQUESTS.map((request, index) => {
    const id = `0x${((index + 1) * 0x2000_0000).toString(16).padStart(8, "0")}${"0".repeat(56)}` as const
    return { ...request, stored: { ...request.stored, id } }
  })
  const { said } = await walked({ stored: spread, before: UNSEEN, pageRequests: 1, pageMs: 1_000 })
  expect(said.map(({ percent, requests }) => [percent, requests])).toEqual([[25, 2], [50, 4], [100, 5]])
})
