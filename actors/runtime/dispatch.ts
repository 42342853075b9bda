/** Gives out work that has been saved: publish, then settle the outbox rows the bus has confirmed. What fails here stays owed in the ledger. */
import { Effect } from "effect"
import { workSubject, type Milestone } from "../../src/domain/journey.ts"
import { RESPONSES_PER_ATTESTATION_MAX } from "../../src/domain/limits.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { encodeEnvelope } from "../../src/messaging/envelope.ts"
import { chunksOf } from "./publish-outcomes.ts"

export interface OwedWork {
  readonly requestId: RequestId
  readonly version: number
  readonly reached: Milestone
  /** Null when the ledger owes nothing for it (the sweeper sends overdue work again). */
  readonly outboxId: bigint | null
  /** Tells a second sending from the first, so that the bus does not take it for an immediate double. */
  readonly claim: number
}

/** Work that stays together can be attested and submitted together, so a message never carries more than one attestation can. */
const ITEMS_PER_WORK_MAX = RESPONSES_PER_ATTESTATION_MAX

export const dispatch = Effect.fnUntraced(function* (owed: ReadonlyArray<OwedWork>) {
  if (owed.length === 0) return
  const bus = yield* Bus
  const ledger = yield* RequestLedger
  const settled: Array<bigint> = []
  yield* Effect.forEach(
    [...Map.groupBy(owed, ({ reached }) => reached)].flatMap(([reached, all]) =>
      chunksOf(all, ITEMS_PER_WORK_MAX).map((chunk) => ({ reached, chunk }))
    ),
    ({ reached, chunk }) => {
      const items = chunk.map(({ requestId, version }) => ({ requestId, version }))
      const [first] = chunk
      const id = first === undefined ? "none" : `${first.requestId}:${first.version}:${first.claim}:${chunk.length}`
      return bus.publish(workSubject(reached), encodeEnvelope({ v: 1, kind: "work", items }), id).pipe(
        Effect.map(() => {
          for (const { outboxId } of chunk) if (outboxId !== null) settled.push(outboxId)
        }),
        Effect.ignore
      )
    },
    { concurrency: "unbounded", discard: true }
  )
  if (settled.length > 0) yield* Effect.ignore(ledger.settle(settled))
})
