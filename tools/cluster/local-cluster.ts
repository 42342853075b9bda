/** The services of the compose file, running as processes of this machine: started in the order of their dependencies, each with a log of
 * its own, stopped with the scope. Whoever injects faults finds each process here. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { closeSync, cpSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import type { PostgresServer } from "../../src/adapters/embedded/postgres-server.ts"
import { DIES_WITH_US } from "../server-programs.ts"
import { addressesOf, planOf, withAddresses, type Plan } from "./as-processes.ts"
import { readComposeFile } from "./compose-file.ts"
import { untilHealthy } from "./health.ts"
import { startPostgresService } from "./postgres-service.ts"
import { folderWithPortcullis, programFor, surroundings } from "./programs.ts"
import { startInOrder } from "./start-order.ts"

export const ROOT = fileURLToPath(new URL("../..", import.meta.url))
export const COMPOSE_FILE = join(ROOT, "docker-compose.yml")
const READY_MS_MAX = 60_000
const LOOK_EVERY_MS = 50

export interface LocalClusterOptions {
  /** Volumes and logs. Kept. */
  readonly directory: string
  readonly plans: ReadonlyMap<string, Plan>
  readonly onReady?: (service: string, at: string) => void
  /** A service whose program this machine does not have, and that nobody depends on. */
  readonly onMissing?: (service: string, why: string) => void
}

export const volumesIn = (directory: string): string => join(directory, "volumes")

/** Every service of the compose file as it stands there. `network` is e.g. `127.71.3`. */
export const plansAsWritten = (directory: string, network: string): ReadonlyMap<string, Plan> => {
  const services = readComposeFile(COMPOSE_FILE)
  const addresses = addressesOf(services, network)
  return new Map([...services].map(([name, service]) => [name, planOf(service, addresses, { root: ROOT, volumes: volumesIn(directory) })]))
}

/** A service did not come up; its log says why. */
export class ServiceNotReady extends Error {
  constructor(service: string, why: string, log: string) {
    super(`${service}: ${why}; ${log} says:\n${tail(log)}`)
  }
}

const tail = (log: string): string => {
  try {
    return readFileSync(log, "utf8").split("\n").slice(-12).join("\n")
  } catch {
    return "(nothing)"
  }
}

export class LocalCluster {
  readonly plans: ReadonlyMap<string, Plan>
  private readonly options: LocalClusterOptions
  private readonly running = new Map<string, ChildProcess>()
  private readonly path: string
  private readonly scope = Effect.runSync(Scope.make())
  private postgresServer: PostgresServer | undefined

  constructor(options: LocalClusterOptions) {
    this.options = options
    this.plans = options.plans
    mkdirSync(join(options.directory, "logs"), { recursive: true })
    this.path = [folderWithPortcullis(join(options.directory, "bin")), process.env["PATH"] ?? ""].join(delimiter)
  }

  plan(name: string): Plan {
    const plan = this.plans.get(name)
    if (plan === undefined) throw new TypeError(`no service ${name} in docker-compose.yml`)
    return plan
  }

  pid(name: string): number | undefined {
    return this.running.get(name)?.pid
  }

  logOf(name: string): string {
    return join(this.options.directory, "logs", `${name}.log`)
  }

  /** Every service, each as soon as those it depends on are there. */
  async up(): Promise<void> {
    const services = new Map([...this.plans].map(([name, { service }]) => [name, service]))
    await startInOrder(services, (name) => this.start(name))
  }

  /** Once it was started. */
  get postgres(): PostgresServer {
    if (this.postgresServer === undefined) throw new TypeError("PostgreSQL has not been started yet")
    return this.postgresServer
  }

  /** Resolves when it listens and its health check says yes, or for a service that only runs once, when it has ended well. */
  async start(name: string): Promise<void> {
    const plan = this.plan(name)
    for (const directory of plan.directories) mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const { from, to } of plan.configuration) copyConfiguration(from, to, plan)
    if (plan.service.image.startsWith("postgres:")) return this.startPostgres(plan)
    const [program = "", ...words] = plan.words
    const found = programFor(program)
    if ("missing" in found) {
      if ([...this.plans.values()].some(({ service }) => service.dependsOn.some((on) => on.service === name)) || program === "portcullis") {
        throw new TypeError(found.missing)
      }
      this.options.onMissing?.(name, found.missing)
      return
    }
    const [command = "", ...first] = found.words
    const log = openSync(this.logOf(name), "a", 0o600)
    const [outer = command, ...before] = [...DIES_WITH_US, command, ...first]
    const child = spawn(outer, [...before, ...words], {
      cwd: ROOT,
      stdio: ["ignore", log, log],
      // Ctrl-C in a terminal reaches us, and we stop them in order.
      detached: true,
      env: { ...surroundings(), PATH: this.path, ...plan.environment }
    })
    closeSync(log)
    this.running.set(name, child)
    await (plan.service.ports.length === 0 ? this.untilDone(name, child) : this.untilListening(plan, child))
    await untilHealthy(plan)
    this.options.onReady?.(name, plan.service.ports.map((port) => `${plan.address}:${port}`).join(" "))
  }

  /** Answers the exit code; undefined when it was not running. */
  async stop(name: string, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null | undefined> {
    const child = this.running.get(name)
    this.running.delete(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? undefined
    const ended = once(child, "exit")
    child.kill(signal)
    await ended
    return child.exitCode
  }

  /** Gateways first, so that they can give back what they hold; then what they stand on. */
  async down(): Promise<void> {
    const names = [...this.running.keys()]
    const isGateway = (name: string) => name.startsWith("gateway")
    await Promise.all(names.filter(isGateway).map((name) => this.stop(name)))
    await Promise.all(names.filter((name) => !isGateway(name)).map((name) => this.stop(name)))
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
  }

  private async untilDone(name: string, child: ChildProcess): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    if (child.exitCode !== 0) throw new ServiceNotReady(name, `it ended with ${child.exitCode ?? child.signalCode}`, this.logOf(name))
  }

  private async untilListening({ service, address }: Plan, child: ChildProcess): Promise<void> {
    const until = Date.now() + READY_MS_MAX
    for (const port of service.ports) {
      while (!(await listens(address, port))) {
        const why = child.exitCode !== null || child.signalCode !== null ? `it ended with ${child.exitCode ?? child.signalCode}` : undefined
        if (why !== undefined || Date.now() > until) throw new ServiceNotReady(service.name, why ?? `nothing listens on ${address}:${port}`, this.logOf(service.name))
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      }
    }
  }

  private async startPostgres(plan: Plan): Promise<void> {
    if (this.postgresServer !== undefined) return Effect.runPromise(this.postgresServer.start)
    this.postgresServer = await Effect.runPromise(Scope.provide(startPostgresService(plan), this.scope))
    const { host, port } = this.postgresServer.address
    this.options.onReady?.(plan.service.name, `${host}:${port}`)
  }
}

const copyConfiguration = (from: string, to: string, { addresses, address }: Plan): void => {
  cpSync(from, to, { recursive: true })
  for (const entry of readdirSync(to, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith(".yml")) continue
    const file = join(entry.parentPath, entry.name)
    writeFileSync(file, withAddresses(readFileSync(file, "utf8"), addresses, address))
  }
}

const listens = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
