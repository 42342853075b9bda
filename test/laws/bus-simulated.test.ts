import { Effect, Layer } from "effect"
import { Chance } from "../../chaos/simulator/chance.ts"
import { EventLoop, Process } from "../../chaos/simulator/event-loop.ts"
import { History } from "../../chaos/simulator/history.ts"
import { Link } from "../../chaos/simulator/remote-call.ts"
import { Broker, busPorts, noMessageShares } from "../../chaos/simulator/sim-bus.ts"
import { busLaws } from "./bus.laws.ts"

/** The laws wait in real time, so here the virtual clock is driven by the real one, once in every turn of Node's own loop. */
busLaws("the simulator's broker", async () => {
  const loop = new EventLoop(Date.now())
  const chance = new Chance("bus laws")
  const [world, node] = [new Process("world", loop, chance), new Process("g1", loop, chance)]
  const broker = new Broker(world, new History(loop), chance)
  const link = new Link("nats", node, world, chance, { leastMs: 0.01, mostMs: 0.02, timeoutMs: 5_000 })
  const pump = Effect.acquireRelease(
    Effect.sync(() => {
      let isOn = true
      const turn = (): void => {
        loop.run(Date.now(), () => false)
        if (isOn) setImmediate(turn)
      }
      turn()
      return () => (isOn = false)
    }),
    (stop) => Effect.sync(stop)
  )
  return busPorts({ broker, link, process: node, faults: noMessageShares() }).pipe(Layer.provideMerge(Layer.effectDiscard(pump)))
})
