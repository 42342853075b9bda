/** Answers go to the coordinator of each request's partition, many in one message. */
import { Effect, Random } from "effect"
import { outcomeSubject } from "../../src/domain/journey.ts"
import type { OutcomeItem } from "../../src/domain/outcome.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { packOutcomes } from "../../src/messaging/pack.ts"

export interface AddressedOutcome {
  readonly partition: number
  readonly item: OutcomeItem
}

export const publishOutcomes = Effect.fnUntraced(function* (outcomes: ReadonlyArray<AddressedOutcome>) {
  if (outcomes.length === 0) return
  const bus = yield* Bus
  // The same words said again later ("not final yet") are a new answer: only a repeated publish of this very call is a double.
  const call = yield* Random.nextInt
  const messages = [...Map.groupBy(outcomes, ({ partition }) => partition)].flatMap(([partition, all]) =>
    packOutcomes(all.map(({ item }) => item)).map((packed) => ({ partition, packed }))
  )
  yield* Effect.forEach(
    messages,
    ({ partition, packed }) => bus.publish(outcomeSubject(partition), packed.body, `${packed.messageId}.${call}`),
    { concurrency: "unbounded", discard: true }
  )
})
