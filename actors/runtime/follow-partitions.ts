/** Hears the outcomes of exactly the partitions that are ours at the moment: starts with the lease, stops before it is given back or when it is
 * lost. Whatever ends the hearing of one partition, it starts again, and the others never notice. */
import { Duration, Effect, FiberMap } from "effect"
import { hearOutcomes, type Coordinator } from "../coordinator.actor.ts"
import { supervise } from "./supervise.ts"

const LOOK_MS = 250

export const followPartitions = Effect.fnUntraced(function* (coordinator: Pick<Coordinator, "partitions" | "tell">) {
  const { partitions } = coordinator
  const hearing = yield* FiberMap.make<number>()
  const hear = (partition: number) => {
    const untilBroken = Effect.scoped(Effect.andThen(hearOutcomes(coordinator, partition), Effect.never))
    return Effect.scoped(Effect.andThen(supervise("outcomes", untilBroken), Effect.never))
  }
  /** Waits for the outcomes that are being decided. */
  const stop = (partition: number) => FiberMap.remove(hearing, partition)
  partitions.beforeGivingBack(stop)
  const adjust = Effect.gen(function* () {
    const owned = new Set(partitions.owned())
    for (const [partition] of hearing) if (!owned.has(partition)) yield* Effect.forkScoped(stop(partition))
    for (const partition of owned) yield* FiberMap.run(hearing, partition, hear(partition), { onlyIfMissing: true })
  })
  yield* adjust
  yield* supervise("hearing", Effect.andThen(Effect.sleep(Duration.millis(LOOK_MS)), adjust))
})
