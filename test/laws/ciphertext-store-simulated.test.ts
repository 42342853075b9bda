/** The simulator's object store, held to what a directory and HTTP are held to. */
import { Chance } from "../../chaos/simulator/chance.ts"
import { Process } from "../../chaos/simulator/event-loop.ts"
import { History } from "../../chaos/simulator/history.ts"
import { SimObjectStore, storePorts } from "../../chaos/simulator/object-store.ts"
import { Link } from "../../chaos/simulator/remote-call.ts"
import { drivenLoop } from "../support/driven-loop.ts"
import { ciphertextStoreLaws } from "./ciphertext-store.laws.ts"

ciphertextStoreLaws("the simulator's store", async () => {
  const { loop, stop } = drivenLoop()
  const chance = new Chance("store laws")
  const store = new SimObjectStore(["main"], new History(loop), chance)
  const [world, node] = [new Process("world", loop, chance), new Process("g1", loop, chance)]
  return {
    layer: storePorts(new Link("store", node, world, chance, { leastMs: 0.01, mostMs: 0.02, timeoutMs: 5_000 }), store),
    plant: async (key, bytes) => void store.objects.set(`store://main/${key}`, bytes),
    breakDown: async () => void (store.shares.unavailable = 1),
    close: async () => stop()
  }
})
