/** Gateway processes as an operator runs them, each behind links of its own to everything it talks to. */
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { World } from "../../bin/dev-world.ts"
import { JOURNEY, ENDS } from "../../src/domain/journey.ts"
import type { MessageFault, RigEvent, Target, Undo } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"
import { Child, type Line } from "./child.ts"
import { LinkProxy } from "./link-proxy.ts"
import { messageFilter } from "./nats-frames.ts"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))
const SKEWED_CLOCK = fileURLToPath(new URL("./skewed-clock.ts", import.meta.url))
const STATES: ReadonlySet<unknown> = new Set([...JOURNEY, ...ENDS])
/** What a service manager waits before it starts again what has ended by itself. */
const RESTART_AFTER_MS = 500
const START_TRIES_MAX = 20
const POLL_MS = 100
/** Deeper than any reorganisation of a scenario: what the chain takes back was never called final. */
const RESULT_CONFIRMATIONS = 12

export interface Link {
  readonly from: Target
  readonly to: Target
  readonly proxy: LinkProxy
}

export interface Doors {
  readonly postgresPort: number
  readonly nats: ReadonlyArray<{ readonly name: Target; readonly port: number }>
  readonly rpc: ReadonlyArray<{ readonly name: Target; readonly port: number }>
  readonly storePort: number
}

/** Runs a file with a clock that chaos may set. */
export const skewable = (clockFile: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${SKEWED_CLOCK}`,
  CHAOS_CLOCK_FILE: clockFile
})

export class Gateway {
  readonly name: Target
  readonly links: ReadonlyArray<Link>
  readonly cacheDirectory: string
  private readonly child: Child
  private readonly directory: string
  private readonly laneKeys: ReadonlyArray<string>
  private readonly messageFaults: Array<MessageFault>
  private readonly note: (event: Omit<RigEvent, "atMs">) => void
  private supervised: NodeJS.Timeout | undefined
  private hasEnded = false

  static async prepare(name: Target, world: World, doors: Doors, random: SeededRandom, note: (event: Omit<RigEvent, "atMs">) => void): Promise<Gateway> {
    const directory = join(world.directory, name)
    await mkdir(join(directory, "cache"), { recursive: true, mode: 0o700 })
    const messageFaults: Array<MessageFault> = []
    const linkTo = async (to: Target, port: number, isBus = false): Promise<Link> => {
      const inbound = isBus ? { inbound: () => messageFilter(() => messageFaults.at(-1), random) } : {}
      return { from: name, to, proxy: await LinkProxy.open({ upstream: { host: "127.0.0.1", port }, ...inbound }) }
    }
    const postgres = await linkTo("postgres", doors.postgresPort)
    const store = await linkTo("store", doors.storePort)
    const nats = await Promise.all(doors.nats.map((server) => linkTo(server.name, server.port, true)))
    const rpc = await Promise.all(doors.rpc.map((endpoint) => linkTo(endpoint.name, endpoint.port)))
    const url = new URL((await readFile(world.environment["PORTCULLIS_DATABASE_URL_FILE"]!, "utf8")).trim())
    url.port = String(postgres.proxy.port)
    const secret = { mode: 0o600 }
    await writeFile(join(directory, "database-url"), url.href, secret)
    await writeFile(join(directory, "clock"), "0")
    const laneKeys = world.lanes.map(({ privateKey }) => privateKey)
    await writeFile(join(directory, "lane-keys"), `${laneKeys.join("\n")}\n`, secret)
    const number = Number(name.slice(1)) - 1
    /** Each begins with another one, so that all of them are somebody's first. */
    const inTurn = (links: ReadonlyArray<Link>, scheme: string) => {
      const first = number % links.length
      return [...links.slice(first), ...links.slice(0, first)].map(({ proxy }) => `${scheme}://127.0.0.1:${proxy.port}`).join(",")
    }
    const environment = {
      PATH: process.env["PATH"] ?? "",
      ...world.environment,
      ...skewable(join(directory, "clock")),
      PORTCULLIS_NODE_NAME: name,
      PORTCULLIS_DATABASE_URL_FILE: join(directory, "database-url"),
      PORTCULLIS_LANE_KEYS_FILE: join(directory, "lane-keys"),
      PORTCULLIS_CACHE_DIR: join(directory, "cache"),
      PORTCULLIS_RPC_URL: inTurn(rpc, "http"),
      PORTCULLIS_BUS: inTurn(nats, "nats"),
      PORTCULLIS_NATS_REPLICAS: nats.length >= 3 ? "3" : "1",
      PORTCULLIS_STORES: `${world.store.name}=http://127.0.0.1:${store.proxy.port}`,
      PORTCULLIS_ACL_FINALITY: "latest",
      PORTCULLIS_RESULT_FINALITY: `confirmations:${RESULT_CONFIRMATIONS}`,
      PORTCULLIS_POLL_MS: String(POLL_MS),
      PORTCULLIS_ENGINE_WORKERS: "1",
      PORTCULLIS_HTTP_LISTEN: "127.0.0.1:0"
    }
    return new Gateway(name, directory, [postgres, store, ...nats, ...rpc], environment, laneKeys, messageFaults, note)
  }

  private constructor(
    name: Target,
    directory: string,
    links: ReadonlyArray<Link>,
    environment: Readonly<Record<string, string>>,
    laneKeys: ReadonlyArray<string>,
    messageFaults: Array<MessageFault>,
    note: (event: Omit<RigEvent, "atMs">) => void
  ) {
    this.name = name
    this.directory = directory
    this.links = links
    this.laneKeys = laneKeys
    this.messageFaults = messageFaults
    this.note = note
    this.cacheDirectory = join(directory, "cache")
    this.child = new Child({
      name,
      command: [process.execPath, CLI, "gateway"],
      environment: () => environment,
      isReady: ({ msg }) => msg === "serving",
      onLine: (line) => noteLine(name, line, note),
      onUnexpectedEnd: (how) => {
        note({ node: name, kind: "ended", text: `ended by itself: ${how}` })
        this.supervised = setTimeout(() => void this.start().catch(() => {}), RESTART_AFTER_MS)
      }
    })
  }

  get isRunning(): boolean {
    return this.child.isRunning
  }

  /** Again and again, as a service manager would: one that finds no database for a minute ends and says so. */
  start = async (): Promise<void> => {
    for (let tries = 1; !this.hasEnded; tries++) {
      try {
        return await this.child.start()
      } catch (error) {
        if (tries === START_TRIES_MAX) throw error
        this.note({ node: this.name, kind: "log", text: `could not start: ${error instanceof Error ? error.message : String(error)}`.slice(0, 300) })
        await pause(RESTART_AFTER_MS)
      }
    }
  }

  freeze = (): void => this.child.freeze()
  thaw = (): void => this.child.thaw()

  kill(): Promise<void> {
    clearTimeout(this.supervised)
    return this.child.kill()
  }

  async drain(): Promise<void> {
    if (!(await this.child.drain())) throw new TypeError(`${this.name} did not drain in time and was killed`)
  }

  hurtMessages(fault: MessageFault): Undo {
    this.messageFaults.push(fault)
    return async () => void this.messageFaults.splice(this.messageFaults.indexOf(fault), 1)
  }

  async setClock(offsetMs: number): Promise<void> {
    await writeFile(join(this.directory, "clock"), String(offsetMs))
  }

  /** Keys are read when it starts, so it is started anew with those that are left. */
  async holdLanes(isHeld: (lane: number) => boolean): Promise<void> {
    const left = this.laneKeys.filter((_, index) => isHeld(index + 1))
    await writeFile(join(this.directory, "lane-keys"), `${left.join("\n")}\n`, { mode: 0o600 })
    await this.kill()
    await this.start()
  }

  async dispose(): Promise<void> {
    this.hasEnded = true
    await this.kill()
    await Promise.all(this.links.map(({ proxy }) => proxy.close()))
  }
}

const noteLine = (node: Target, line: Line, note: (event: Omit<RigEvent, "atMs">) => void): void => {
  const { msg, level, request, cause, reason } = line
  if (STATES.has(msg)) return note({ node, kind: "fact", text: `${String(msg)} ${String(request).slice(0, 8)}` })
  if (level === "info") return
  const why = [reason, cause].filter((given) => given !== undefined).map((given) => (typeof given === "string" ? given : JSON.stringify(given)))
  note({ node, kind: "log", text: [`${String(level)}: ${String(msg)}`, ...why].join(": ").slice(0, 300) })
}
