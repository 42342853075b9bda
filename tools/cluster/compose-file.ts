/** The parts of docker-compose.yml that matter to whoever runs its services as processes. What it does not understand it refuses: a key that
 * was silently passed over would make the processes something else than the containers. */
import { readFileSync } from "node:fs"
import { parse } from "yaml"

export interface Mount {
  /** A named volume, or a path beside the compose file. */
  readonly source: string
  readonly isVolume: boolean
  readonly subpath: string
  /** Where the service sees it. */
  readonly target: string
}

/** How the service says that it is well: a program that ends with 0. */
export interface HealthCheck {
  readonly words: ReadonlyArray<string>
  readonly timeoutMs: number
}

export interface Service {
  readonly name: string
  readonly image: string
  /** What the image would run, if the file says so; otherwise the image's own. */
  readonly entrypoint: ReadonlyArray<string> | undefined
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  readonly mounts: ReadonlyArray<Mount>
  readonly ports: ReadonlyArray<number>
  readonly dependsOn: ReadonlyArray<{ readonly service: string; readonly condition: "service_started" | "service_healthy" | "service_completed_successfully" }>
  readonly health: HealthCheck | undefined
}

/** Keys that say how a container is kept in, and nothing about what it runs. */
const KEPT_BY_CONTAINERS = new Set([
  ...["build", "read_only", "cap_drop", "cap_add", "security_opt", "init", "restart", "stop_grace_period", "user", "networks"]
])
const UNDERSTOOD = new Set(["image", "entrypoint", "command", "environment", "volumes", "tmpfs", "expose", "ports", "depends_on", "healthcheck"])

export class ComposeFileRejected extends TypeError {
  constructor(where: string, why: string) {
    super(`docker-compose.yml: ${where}: ${why}`)
  }
}

export const readComposeFile = (path: string): ReadonlyMap<string, Service> => servicesIn(parse(readFileSync(path, "utf8"), { merge: true }))

export const servicesIn = (document: unknown): ReadonlyMap<string, Service> => {
  const services = recordOf(recordOf(document, "the file")["services"], "services")
  return new Map(Object.entries(services).map(([name, service]) => [name, serviceOf(name, recordOf(service, name))]))
}

const serviceOf = (name: string, service: Readonly<Record<string, unknown>>): Service => {
  const unknown = Object.keys(service).filter((key) => !UNDERSTOOD.has(key) && !KEPT_BY_CONTAINERS.has(key))
  if (unknown.length > 0) throw new ComposeFileRejected(name, `what is to be done about ${unknown.join(", ")}?`)
  const { image } = service
  if (typeof image !== "string") throw new ComposeFileRejected(name, "no image is named")
  return {
    name,
    image,
    entrypoint: service["entrypoint"] === undefined ? undefined : wordsOf(service["entrypoint"], `${name}.entrypoint`),
    command: wordsOf(service["command"] ?? [], `${name}.command`),
    environment: Object.fromEntries(
      Object.entries(recordOf(service["environment"] ?? {}, `${name}.environment`)).map(([key, value]) => [key, String(value)])
    ),
    mounts: [
      ...listOf(service["volumes"] ?? [], `${name}.volumes`).map((volume) => mountOf(volume, name)),
      ...wordsOf(service["tmpfs"] ?? [], `${name}.tmpfs`).map((text) => tmpfsOf(text, name))
    ],
    ports: [
      ...wordsOf(service["expose"] ?? [], `${name}.expose`).map(Number),
      ...wordsOf(service["ports"] ?? [], `${name}.ports`).map((text) => Number(text.split(":").at(-1)))
    ],
    dependsOn: Object.entries(recordOf(service["depends_on"] ?? {}, `${name}.depends_on`)).map(([on, how]) => ({
      service: on,
      condition: recordOf(how, `${name}.depends_on.${on}`)["condition"] as Service["dependsOn"][number]["condition"]
    })),
    health: service["healthcheck"] === undefined ? undefined : healthOf(recordOf(service["healthcheck"], `${name}.healthcheck`), name)
  }
}

const healthOf = ({ test, timeout }: Readonly<Record<string, unknown>>, name: string): HealthCheck => {
  const [how, ...words] = wordsOf(test, `${name}.healthcheck.test`)
  const seconds = /^(\d+)s$/.exec(String(timeout))?.[1]
  if (how !== "CMD" || words.length === 0) throw new ComposeFileRejected(name, "a health check is CMD and the words of a program")
  if (seconds === undefined) throw new ComposeFileRejected(name, "the timeout of a health check is in whole seconds: 3s")
  return { words, timeoutMs: Number(seconds) * 1_000 }
}

const mountOf = (volume: unknown, name: string): Mount => {
  if (typeof volume === "string") {
    const [source, target] = volume.split(":")
    if (source === undefined || target === undefined) throw new ComposeFileRejected(name, `${volume} is no volume`)
    return { source, isVolume: !source.startsWith("."), subpath: "", target }
  }
  const { type, source, target, volume: how } = recordOf(volume, `${name}.volumes`)
  if (type !== "volume" || typeof source !== "string" || typeof target !== "string") {
    throw new ComposeFileRejected(name, "a volume is a string, or has type volume, a source and a target")
  }
  return { source, isVolume: true, subpath: String(recordOf(how ?? {}, `${name}.volumes`)["subpath"] ?? ""), target }
}

/** A file system of the service's own. */
const tmpfsOf = (text: string, name: string): Mount => {
  const [target = ""] = text.split(":")
  return { source: `${name}-tmpfs${target.replaceAll("/", "-")}`, isVolume: true, subpath: "", target }
}

const recordOf = (value: unknown, where: string): Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ComposeFileRejected(where, "is not a mapping")
  return value as Readonly<Record<string, unknown>>
}

const listOf = (value: unknown, where: string): ReadonlyArray<unknown> => {
  if (!Array.isArray(value)) throw new ComposeFileRejected(where, "is not a list")
  return value
}

const wordsOf = (value: unknown, where: string): ReadonlyArray<string> => listOf(value, where).map(String)
