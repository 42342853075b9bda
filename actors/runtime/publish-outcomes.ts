/** Answers go to the coordinator of each request's partition, many in one message: those of one call, and where a process gathers them, those that
 * arise while the message before is on its way. Nobody waits for company. */
import { Context, Effect, Random } from "effect"
import { outcomeSubject, stepFrom } from "../../src/domain/journey.ts"
import { ITEMS_PER_ENVELOPE_MAX, PARTITIONS } from "../../src/domain/limits.ts"
import type { OutcomeItem } from "../../src/domain/outcome.ts"
import { Bus, type BusUnavailable } from "../../src/messaging/bus.port.ts"
import { packOutcomes } from "../../src/messaging/pack.ts"
import { makeCombiner } from "../../src/resilience/combiner.ts"
import { DoneHere } from "./work-done.ts"

export interface AddressedOutcome {
  readonly partition: number
  readonly item: OutcomeItem
}

/** Returns once the bus has confirmed them. */
type Say = (partition: number, items: ReadonlyArray<OutcomeItem>) => Effect.Effect<void, BusUnavailable>

/** How this process gathers what it says; where nobody does, each call has messages of its own. */
export const Gathered: Context.Reference<Say | undefined> = Context.Reference("portcullis/actors/Gathered", {
  defaultValue: (): Say | undefined => undefined
})

/** One message is on its way for a partition, and the next only when it is confirmed or full. */
const MESSAGES_UNDER_WAY_MAX = 4

export const gatherOutcomes = Effect.gen(function* () {
  const bus = yield* Bus
  const combiners = yield* Effect.forEach(Array.from({ length: PARTITIONS }), (_, partition) =>
    makeCombiner({
      itemsMax: ITEMS_PER_ENVELOPE_MAX,
      flightsMax: MESSAGES_UNDER_WAY_MAX,
      run: (items: ReadonlyArray<OutcomeItem>) => Effect.as(sayVia(bus)(partition, items), items.map(() => undefined)),
      isRefusal: () => false
    })
  )
  return ((partition, items) => Effect.asVoid(combiners[partition]!(items))) satisfies Say
})

const sayVia = (bus: Bus["Service"]): Say =>
  Effect.fnUntraced(function* (partition, items) {
    // The same words said again later ("not final yet") are a new answer: only a repeated publish of this very call is a double.
    const call = yield* Random.nextInt
    yield* Effect.forEach(
      packOutcomes(items),
      ({ body, messageId }) => bus.publish(outcomeSubject(partition), body, `${messageId}.${call}`),
      { concurrency: "unbounded", discard: true }
    )
  })

export const publishOutcomes = Effect.fnUntraced(function* (outcomes: ReadonlyArray<AddressedOutcome>) {
  const say = (yield* Gathered) ?? sayVia(yield* Bus)
  yield* Effect.forEach(
    Map.groupBy(outcomes, ({ partition }) => partition),
    ([partition, all]) => say(partition, all.map(({ item }) => item)),
    { concurrency: "unbounded", discard: true }
  )
  // "Not now" is an answer, and no work that is done.
  const done = yield* DoneHere
  for (const { item } of outcomes) if (item.outcome.type !== "postponed") done.add(stepFrom(item.reached), 1)
})
