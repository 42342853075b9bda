/** Answers go to the coordinator of each request's partition, many in one message. */
import { Effect } from "effect"
import { outcomeSubject } from "../../src/domain/journey.ts"
import { ITEMS_PER_ENVELOPE_MAX } from "../../src/domain/limits.ts"
import type { OutcomeItem } from "../../src/domain/outcome.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { encodeEnvelope } from "../../src/messaging/envelope.ts"

export interface AddressedOutcome {
  readonly partition: number
  readonly item: OutcomeItem
}

export const publishOutcomes = Effect.fnUntraced(function* (outcomes: ReadonlyArray<AddressedOutcome>) {
  const bus = yield* Bus
  const byPartition = Map.groupBy(outcomes, ({ partition }) => partition)
  yield* Effect.forEach(
    [...byPartition].flatMap(([partition, all]) => chunksOf(all, ITEMS_PER_ENVELOPE_MAX).map((chunk) => ({ partition, chunk }))),
    ({ partition, chunk }) => {
      const items = chunk.map(({ item }) => item)
      return bus.publish(outcomeSubject(partition), encodeEnvelope({ v: 1, kind: "outcomes", items }), idOf(items))
    },
    { concurrency: "unbounded", discard: true }
  )
})

/** The same answer to the same work has the same id. */
const idOf = (items: ReadonlyArray<OutcomeItem>): string => {
  const [first] = items
  return first === undefined ? "none" : `${first.requestId}:${first.version}:${first.outcome.type}:${items.length}`
}

export const chunksOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size))
