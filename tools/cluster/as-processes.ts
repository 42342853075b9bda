/** From a service of the compose file to a process of this machine: the same command with the same environment. Only names change: a
 * service's name becomes a loopback address of its own, so that every port stays as it is written, and a path in a container becomes the
 * path where its volume lies. */
import { randomInt } from "node:crypto"
import { join, resolve } from "node:path"
import type { Mount, Service } from "./compose-file.ts"

export interface Plan {
  readonly service: Service
  readonly address: string
  /** Entrypoint and command, with names and paths of this machine. The first word is still the image's word for its program. */
  readonly words: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  /** What its health check runs, likewise. */
  readonly health: ReadonlyArray<string> | undefined
  /** Directories that must be there before it starts. */
  readonly directories: ReadonlyArray<string>
  /** Configuration from beside the compose file: it names services, so the process reads a copy that names their addresses. */
  readonly configuration: ReadonlyArray<{ readonly from: string; readonly to: string }>
  /** What it makes of the names of services. */
  readonly addresses: ReadonlyMap<string, string>
}

/** What an image runs when the compose file does not say. */
const ENTRYPOINTS: ReadonlyArray<readonly [image: RegExp, words: ReadonlyArray<string>]> = [
  [/^portcullis$/, ["portcullis"]],
  [/^nats:/, ["nats-server"]],
  [/^postgres:/, []],
  [/^prom\/prometheus:/, ["prometheus"]],
  [/^grafana\/grafana:/, ["grafana"]]
]

export interface Place {
  /** Where the compose file is. */
  readonly root: string
  /** Where volumes are kept. */
  readonly volumes: string
}

const FIRST_HOST = 11

/** Of loopback, away from 127.0.0.1, where other programs of this machine are. */
export const anyNetwork = (): string => `127.${randomInt(64, 128)}.${randomInt(256)}`

/** `network` is the first three numbers of every address, e.g. `127.71.3`: two clusters on one machine need two. */
export const addressesOf = (services: ReadonlyMap<string, Service>, network: string): ReadonlyMap<string, string> =>
  new Map([...services.keys()].map((name, index) => [name, `${network}.${index + FIRST_HOST}`]))

/** `addresses` is what this service makes of names. Another service may see others under the same names: something stands in between. */
export const planOf = (service: Service, addresses: ReadonlyMap<string, string>, place: Place): Plan => {
  const own = addresses.get(service.name) ?? "127.0.0.1"
  // What our own image reads is code; what others read is configuration.
  const isConfiguration = ({ isVolume }: Mount) => !isVolume && service.image !== "portcullis"
  const pathOf = (mount: Mount): string =>
    mount.isVolume
      ? join(place.volumes, mount.source, mount.subpath)
      : isConfiguration(mount)
        ? join(place.volumes, `${service.name}-configuration`, mount.source)
        : resolve(place.root, mount.source)
  const mounts = service.mounts.map((mount) => ({ target: mount.target, path: pathOf(mount) }))
  // The image itself: what it has under /portcullis is what the checkout has here.
  const paths = [...mounts, { target: "/portcullis", path: place.root }].toSorted((a, b) => b.target.length - a.target.length)
  const here = (text: string): string => withPaths(withAddresses(text, addresses, own), paths)
  const entrypoint = service.entrypoint ?? ENTRYPOINTS.find(([image]) => image.test(service.image))?.[1]
  if (entrypoint === undefined) throw new TypeError(`${service.name}: nobody knows what ${service.image} runs`)
  return {
    service,
    address: own,
    words: [...entrypoint, ...service.command].map(here),
    // A container is a machine of its own: what is at 127.0.0.1 there is at the service's address here.
    health: service.health?.words.map((word) => here(word).replaceAll("127.0.0.1", own)),
    environment: Object.fromEntries(Object.entries(service.environment).map(([name, value]) => [name, here(value)])),
    directories: service.mounts.flatMap(({ isVolume }, index) => (isVolume ? [mounts[index]?.path ?? ""] : [])),
    configuration: service.mounts.filter(isConfiguration).map((mount) => ({ from: resolve(place.root, mount.source), to: pathOf(mount) })),
    addresses
  }
}

/** Hosts and ports that a text names, of these names. */
export const dialledIn = (text: string, names: Iterable<string>): ReadonlyArray<{ readonly name: string; readonly port: number }> =>
  [...names].flatMap((name) => [...text.matchAll(new RegExp(`(?<![\\w.-])${name}:(\\d+)`, "g"))].map(([, port]) => ({ name, port: Number(port) })))

/** Only before a port is a word a host: `nats-1` alone may be a server's name, or a path. */
export const withAddresses = (text: string, addresses: ReadonlyMap<string, string>, own: string): string =>
  [...addresses]
    .reduce((changed, [name, address]) => changed.replaceAll(new RegExp(`(?<![\\w.-])${name}(?=:\\d)`, "g"), address), text)
    .replaceAll("0.0.0.0", own)

const withPaths = (text: string, paths: ReadonlyArray<{ readonly target: string; readonly path: string }>): string =>
  paths.reduce((changed, { target, path }) => changed.replaceAll(new RegExp(`(?<![\\w./-])${target}(?=/|$)`, "g"), path), text)
