/** Gives out work that has been saved: publish, then settle the outbox rows the bus has confirmed. What fails here stays owed in the ledger. */
import { Effect } from "effect"
import { workSubject, type Milestone } from "../../src/domain/journey.ts"
import { RESPONSES_PER_ATTESTATION_MAX } from "../../src/domain/limits.ts"
import type { WorkItem } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { packWork } from "../../src/messaging/pack.ts"

export interface OwedWork {
  readonly requestId: RequestId
  readonly version: number
  readonly reached: Milestone
  /** Null when the ledger owes nothing for it (the sweeper sends overdue work again). */
  readonly outboxId: bigint | null
  /** Unix seconds. */
  readonly deadline: number
  /** Tells a second sending from the first, so that the bus does not take it for an immediate double. */
  readonly claim: number
}

/** Work that stays together can be attested and submitted together, so a message never carries more than one attestation can. */
const ITEMS_PER_WORK_MAX = RESPONSES_PER_ATTESTATION_MAX

/** One trace for each request, wherever and whenever its work is done: trace and span ids are taken from its id (W3C Trace Context). */
const traceOf = ([only, ...others]: ReadonlyArray<OwedWork>): { readonly traceparent?: string } =>
  only === undefined || others.length > 0 ? {} : { traceparent: `00-${only.requestId.slice(2, 34)}-${only.requestId.slice(34, 50)}-01` }

const keyOf = ({ requestId, version }: WorkItem): string => `${requestId}.${version}`

/** Answers what could not be published. */
export const dispatch = Effect.fnUntraced(function* (owed: ReadonlyArray<OwedWork>) {
  const unsent: Array<OwedWork> = []
  if (owed.length === 0) return unsent
  const bus = yield* Bus
  const ledger = yield* RequestLedger
  const settled: Array<bigint> = []
  // By version as well: an older message about the same request may still be owed.
  const owedBy = new Map(owed.map((work) => [keyOf(work), work]))
  const messages = [...Map.groupBy(owed, ({ reached }) => reached)].flatMap(([reached, all]) =>
    packWork(
      all.map(({ requestId, version }) => ({ requestId, version })),
      { itemsMax: ITEMS_PER_WORK_MAX, deadlineMs: Math.max(...all.map(({ deadline }) => deadline)) * 1_000, ...traceOf(all) }
    ).map((packed) => ({ reached, packed }))
  )
  yield* Effect.forEach(
    messages,
    ({ reached, packed }) => {
      const works = packed.items.map((item) => owedBy.get(keyOf(item)))
      const claim = works[0]?.claim ?? 0
      return bus.publish(workSubject(reached), packed.body, `${packed.messageId}.${claim}`).pipe(
        Effect.map(() => {
          for (const work of works) if (work !== undefined && work.outboxId !== null) settled.push(work.outboxId)
        }),
        Effect.catch(() => Effect.sync(() => works.forEach((work) => work !== undefined && unsent.push(work))))
      )
    },
    { concurrency: "unbounded", discard: true }
  )
  if (settled.length > 0) yield* Effect.ignore(ledger.settle(settled))
  return unsent
})
