/** In which order services start: each as soon as those it depends on are there, all others at once: a gateway is well only when KMS nodes answer,
 * on which it does not depend for starting. When one fails, no other is begun, and the failure is told when those under way are done: nothing
 * comes up behind the back of whoever tidies up. */
import type { Service } from "./compose-file.ts"

export const startInOrder = async (services: ReadonlyMap<string, Service>, start: (name: string) => Promise<void>): Promise<void> => {
  const started = new Map<string, Promise<void>>()
  let hasFailed = false
  const begin = async (name: string): Promise<void> => {
    try {
      if (!hasFailed) await start(name)
    } catch (error) {
      hasFailed = true
      throw error
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
