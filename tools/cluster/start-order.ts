/** In which order services start: each as soon as those it depends on are there, and no more at once than there are cores: on a busy machine
 * each would be too slow for whoever waits for it. When one fails, no other is begun, and the
 * failure is told when those under way are done: nothing comes up behind the back of whoever tidies up. */
import { availableParallelism } from "node:os"
import type { Service } from "./compose-file.ts"

export const startInOrder = async (services: ReadonlyMap<string, Service>, start: (name: string) => Promise<void>): Promise<void> => {
  const started = new Map<string, Promise<void>>()
  const waiting: Array<() => void> = []
  let free = availableParallelism()
  let hasFailed = false
  const begin = async (name: string): Promise<void> => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      if (!hasFailed) await start(name)
    } catch (error) {
      hasFailed = true
      throw error
    } finally {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
  const startOnce = (name: string): Promise<void> => {
    const known = started.get(name)
    if (known !== undefined) return known
    const service = services.get(name)
    if (service === undefined) throw new TypeError(`somebody depends on ${name}, and there is no such service`)
    const begun = Promise.all(service.dependsOn.map((on) => startOnce(on.service))).then(() => begin(name))
    started.set(name, begun)
    return begun
  }
  const ends = await Promise.allSettled([...services.keys()].map(startOnce))
  const failed = ends.find((end) => end.status === "rejected")
  if (failed !== undefined) throw failed.reason
}
