import { Effect, Layer } from "effect"
import { Chance } from "../../chaos/simulator/chance.ts"
import { Process } from "../../chaos/simulator/event-loop.ts"
import { History } from "../../chaos/simulator/history.ts"
import { Link } from "../../chaos/simulator/remote-call.ts"
import { Broker, busPorts, noMessageShares } from "../../chaos/simulator/sim-bus.ts"
import { drivenLoop } from "../support/driven-loop.ts"
import { busLaws } from "./bus.laws.ts"

busLaws("the simulator's broker", async () => {
  const { loop, stop } = drivenLoop()
  const chance = new Chance("bus laws")
  const [world, node] = [new Process("world", loop, chance), new Process("g1", loop, chance)]
  const broker = new Broker(world, new History(loop), chance)
  const link = new Link("nats", node, world, chance, { leastMs: 0.01, mostMs: 0.02, timeoutMs: 5_000 })
  const driven = Effect.acquireRelease(Effect.void, () => Effect.sync(stop))
  return busPorts({ broker, link, process: node, faults: noMessageShares() }).pipe(Layer.provideMerge(Layer.effectDiscard(driven)))
})
