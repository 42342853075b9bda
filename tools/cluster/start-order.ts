/** In which order services start: each as soon as those it depends on are there, and no sooner. */
import type { Service } from "./compose-file.ts"

export const startInOrder = async (services: ReadonlyMap<string, Service>, start: (name: string) => Promise<void>): Promise<void> => {
  const started = new Map<string, Promise<void>>()
  const startOnce = (name: string): Promise<void> => {
    const known = started.get(name)
    if (known !== undefined) return known
    const service = services.get(name)
    if (service === undefined) throw new TypeError(`somebody depends on ${name}, and there is no such service`)
    const begun = Promise.all(service.dependsOn.map((on) => startOnce(on.service))).then(() => start(name))
    started.set(name, begun)
    return begun
  }
  await Promise.all([...services.keys()].map(startOnce))
}
