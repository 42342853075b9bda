/** More of a service than the compose file has, as `docker compose up --scale` would make them, and fewer. The file numbers its services
 * (`kms-1`, `kms-2`, ...): a copy is the last one with another number wherever the number is its own. */
import type { Service } from "./compose-file.ts"

/** `gateway-3` and `/gateway/lane-key-3`, but not the host in `nats-3:4222`: that is somebody else. */
const renumbered = (text: string, from: number, to: number): string => text.replaceAll(new RegExp(`-${from}(?![\\d:])`, "g"), `-${to}`)

/** The services `family-1` to `family-count`, and all others as they are. */
export const scaled = (services: ReadonlyMap<string, Service>, family: string, count: number): ReadonlyMap<string, Service> => {
  const isOfFamily = (name: string) => new RegExp(`^${family}-\\d+$`).test(name)
  const members = [...services.values()].filter(({ name }) => isOfFamily(name))
  const last = members.at(-1)
  if (last === undefined) throw new TypeError(`docker-compose.yml has no ${family}-1`)
  const copies = Array.from({ length: Math.max(0, count - members.length) }, (_, index) => copyOf(last, members.length, members.length + index + 1))
  const wanted = [...members.slice(0, count), ...copies]
  return new Map([...[...services].filter(([name]) => !isOfFamily(name)), ...wanted.map((service) => [service.name, service] as const)])
}

const copyOf = (service: Service, from: number, to: number): Service => {
  const own = (text: string) => renumbered(text, from, to)
  return {
    ...service,
    name: own(service.name),
    command: service.command.map(own),
    environment: Object.fromEntries(Object.entries(service.environment).map(([name, value]) => [name, own(value)])),
    mounts: service.mounts.map((mount) => ({ ...mount, source: own(mount.source), subpath: own(mount.subpath) }))
  }
}
