/** Hears the outcomes of exactly the partitions that are ours at the moment: starts with the lease, stops with it. */
import { Duration, Effect, FiberMap } from "effect"
import { hearOutcomes, type Coordinator } from "../coordinator.actor.ts"
import { supervise } from "./supervise.ts"

const LOOK_MS = 500

export const followPartitions = Effect.fnUntraced(function* (coordinator: Coordinator) {
  const hearing = yield* FiberMap.make<number>()
  const adjust = Effect.gen(function* () {
    const owned = new Set(coordinator.partitions.owned())
    for (const [partition] of hearing) if (!owned.has(partition)) yield* FiberMap.remove(hearing, partition)
    for (const partition of owned) {
      const listen = Effect.scoped(Effect.andThen(hearOutcomes(coordinator, partition), Effect.never))
      yield* FiberMap.run(hearing, partition, listen, { onlyIfMissing: true })
    }
  })
  yield* adjust
  yield* supervise("partitions", Effect.andThen(Effect.sleep(Duration.millis(LOOK_MS)), adjust))
})
