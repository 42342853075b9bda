/** The whole ledger, page by page in the order of request ids: what a check finds in a request by itself (C3, C4, C6, C7) needs no more than a page in
 * memory. What holds requests against the chain (C1, C2) and the lanes (C5) is looked at once, before. */
import { Clock, Effect } from "effect"
import type { NodeId } from "../../src/domain/committee.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { AuditLedger, type AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import { type Checked, type CheckName, CHECKS, violationsOf } from "./check.ts"
import type { NodeRecords, Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

/** Of each check, so many violations are named; the others are counted. Whoever has more of one kind has one cause, or a database to restore. */
export const NAMED_MAX = 100
const SAY_EVERY_MS = 2_000
const WALKED = ["C3", "C4", "C6", "C7"] as const satisfies ReadonlyArray<CheckName>

export interface Walk<E, R> {
  /** Begins with the first id after it. */
  readonly after: RequestId | null
  readonly pageRequests: number
  /** What was looked at before: not looked at again, and not counted twice. */
  readonly before: Records
  readonly thresholdOf: (epoch: number) => Effect.Effect<number, E, R>
  readonly onProgress: (progress: Progress) => void
  readonly onFound: (finding: Finding & { readonly check: CheckName }) => void
}

export interface Progress {
  readonly requests: number
  /** All up to this one have been looked at. */
  readonly last: RequestId | null
  /** Ids are hashes, so this is about how much of the ledger lies below the last one. */
  readonly percent: number
  readonly violations: number
}

export interface Walked extends Checked {
  readonly progress: Progress
}

export const walkLedger = Effect.fnUntraced(function* <E, R>(looked: Checked, walk: Walk<E, R>) {
  const ledger = yield* AuditLedger
  const { before } = walk
  const seen = new Set(before.requests.map(({ stored }) => stored.id))
  const answersOf = byRequest(before.nodes)
  const thresholds = new Map(before.thresholds)
  const verdicts: Record<CheckName, Verdict> = { ...looked.verdicts }
  let progress: Progress = { requests: 0, last: walk.after, percent: percentOf(walk.after), violations: looked.violations.length }
  for (const finding of looked.violations) walk.onFound(finding)
  let saidMs = yield* Clock.currentTimeMillis
  for (;;) {
    const page = yield* ledger.page(progress.last, walk.pageRequests)
    const last = page.at(-1)?.stored.id
    if (last === undefined) break
    const requests = page.filter(({ stored }) => !seen.has(stored.id))
    for (const { stored } of requests) {
      const { epoch } = stored.facts
      if (answersOf.has(stored.id) && !thresholds.has(epoch)) thresholds.set(epoch, yield* walk.thresholdOf(epoch))
    }
    const records = pageRecords(before, requests, answersOf, thresholds)
    let found = 0
    for (const name of WALKED) {
      const verdict = CHECKS[name].run(records)
      found += verdict.violations.length
      for (const finding of verdict.violations.slice(0, Math.max(0, NAMED_MAX - verdicts[name].violations.length))) walk.onFound({ check: name, ...finding })
      verdicts[name] = together(verdicts[name], verdict, name)
    }
    progress = { requests: progress.requests + page.length, last, percent: percentOf(last), violations: progress.violations + found }
    const nowMs = yield* Clock.currentTimeMillis
    if (nowMs - saidMs < SAY_EVERY_MS) continue
    saidMs = nowMs
    walk.onProgress(progress)
  }
  progress = { ...progress, percent: 100 }
  walk.onProgress(progress)
  return { verdicts, violations: violationsOf(verdicts), progress } satisfies Walked
})

type Answers = ReadonlyMap<RequestId, ReadonlyMap<NodeId, NodeRecords["answers"]>>

const byRequest = (nodes: Records["nodes"]): Answers => {
  const byId = new Map<RequestId, Map<NodeId, Array<NodeRecords["answers"][number]>>>()
  for (const { node, answers } of nodes ?? []) {
    for (const answer of answers) {
      const ofRequest = byId.get(answer.requestId) ?? new Map<NodeId, Array<NodeRecords["answers"][number]>>()
      byId.set(answer.requestId, ofRequest)
      ofRequest.set(node, [...(ofRequest.get(node) ?? []), answer])
    }
  }
  return byId
}

/** The chain and the lanes have been looked at: nothing of them is said again. */
const pageRecords = (before: Records, requests: ReadonlyArray<AuditedRequest>, answersOf: Answers, thresholds: Records["thresholds"]): Records => ({
  ...{ requests, thresholds, lanes: [], lostUntilMs: before.lostUntilMs },
  chain: { requested: [], fulfilled: [], finalBlock: 0, finalNonces: new Map(), cursorBlock: 0 },
  nodes:
    before.nodes?.map(({ node }) => ({
      node,
      answers: requests.flatMap(({ stored }) => answersOf.get(stored.id)?.get(node) ?? [])
    })) ?? null
})

/** The nodes' logs were counted whole before. */
const together = (all: Verdict, page: Verdict, name: CheckName): Verdict => {
  const violations = [...all.violations, ...page.violations]
  const more = (all.more ?? 0) + Math.max(0, violations.length - NAMED_MAX)
  return {
    ...all,
    looked: all.looked + (name === "C4" ? 0 : page.looked),
    violations: violations.slice(0, NAMED_MAX),
    ...(more > 0 && { more }),
    ...(all.unchecked === undefined && page.unchecked !== undefined && { unchecked: page.unchecked })
  }
}

const percentOf = (id: RequestId | null): number => (id === null ? 0 : Math.floor((Number.parseInt(id.slice(2, 10), 16) / 2 ** 32) * 100))
