/** A gateway process as the compose file starts it, under a service manager of ours. */
import { writeFile } from "node:fs/promises"
import { setTimeout as pause } from "node:timers/promises"
import { JOURNEY, ENDS } from "../../src/domain/journey.ts"
import type { Plan } from "../../tools/cluster/as-processes.ts"
import { surroundings } from "../../tools/cluster/programs.ts"
import { environmentFor, type Build, type UpgradeFrom } from "../builds.ts"
import type { MessageFault, RigEvent, Target, Undo } from "../rig.ts"
import { Child, type Line } from "./child.ts"
import { wordsFrom } from "./words-from.ts"

const STATES: ReadonlySet<unknown> = new Set([...JOURNEY, ...ENDS])
/** What a service manager waits before it starts again what has ended by itself. */
const RESTART_AFTER_MS = 500
const START_TRIES_MAX = 20

export interface GatewayOptions {
  readonly name: Target
  readonly plan: Plan
  readonly messageFaults: Array<MessageFault>
  readonly note: (event: Omit<RigEvent, "atMs">) => void
  /** It begins with another build; one that is kept there stays with it. */
  readonly upgrade?: UpgradeFrom & { readonly isKept: boolean }
}

export class Gateway {
  readonly name: Target
  readonly cacheDirectory: string
  private readonly child: Child
  private readonly environment: Readonly<Record<string, string>>
  private readonly messageFaults: Array<MessageFault>
  private readonly note: (event: Omit<RigEvent, "atMs">) => void
  private laneKeys: ReadonlyArray<string> = []
  private supervised: NodeJS.Timeout | undefined
  private hasEnded = false
  private readonly upgrade: GatewayOptions["upgrade"]
  /** The builds from which it has served, one for each life; none where there is only this one. */
  readonly servedFrom: Array<string> = []
  /** The build of each life, by the id under which it writes; none where there is only this one. */
  readonly buildOfLife = new Map<string, string>()

  /** Whoever makes its links has `messageFaults` too. */
  constructor({ name, plan, messageFaults, note, upgrade }: GatewayOptions) {
    this.name = name
    this.environment = plan.environment
    this.messageFaults = messageFaults
    this.note = note
    this.cacheDirectory = plan.environment["PORTCULLIS_CACHE_DIR"] ?? ""
    this.upgrade = upgrade
    this.child = new Child({
      name,
      command: () => wordsFrom(this.otherBuild, plan.words),
      environment: () => ({ ...surroundings(), ...environmentFor(this.otherBuild, plan.environment) }),
      isReady: ({ msg }) => msg === "serving",
      onLine: (line) => {
        const from = this.otherBuild?.name ?? upgrade?.to
        if (line["msg"] === "serving" && from !== undefined) this.buildOfLife.set(String(line["worker"]), from)
        noteLine(name, line, note)
      },
      onUnexpectedEnd: (how) => {
        note({ node: name, kind: "ended", text: `ended by itself: ${how}` })
        this.supervised = setTimeout(() => void this.start().catch(() => {}), RESTART_AFTER_MS)
      }
    })
  }

  /** The files that the overlay promises it. */
  async prepare(databaseUrl: string, laneKeys: ReadonlyArray<string>): Promise<void> {
    this.laneKeys = laneKeys
    await writeFile(this.file("PORTCULLIS_DATABASE_URL_FILE"), databaseUrl, { mode: 0o600 })
    await this.writeLaneKeys(laneKeys)
  }

  /** Undefined: this one. */
  private get otherBuild(): Build | undefined {
    const { upgrade } = this
    return upgrade !== undefined && (upgrade.isKept || this.servedFrom.length === 0) ? upgrade.build : undefined
  }

  get isRunning(): boolean {
    return this.child.isRunning
  }

  /** Again and again, as a service manager would: one that finds no database for a minute ends and says so. */
  start = async (): Promise<void> => {
    for (let tries = 1; !this.hasEnded && !this.child.isRunning; tries++) {
      try {
        const name = this.otherBuild?.name ?? this.upgrade?.to
        await this.child.start()
        if (name === undefined) return
        this.servedFrom.push(name)
        return this.note({ node: this.name, kind: "phase", text: `serves from ${name}` })
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
    await writeFile(this.file("CHAOS_CLOCK_FILE"), String(offsetMs))
  }

  /** Keys are read when it starts, so it is started anew with those that are left. */
  async holdLanes(isHeld: (lane: number) => boolean): Promise<void> {
    await this.writeLaneKeys(this.laneKeys.filter((_, index) => isHeld(index + 1)))
    await this.kill()
    await this.start()
  }

  async dispose(): Promise<void> {
    this.hasEnded = true
    await this.kill()
  }

  private file(setting: string): string {
    return this.environment[setting] ?? ""
  }

  private async writeLaneKeys(keys: ReadonlyArray<string>): Promise<void> {
    await writeFile(this.file("PORTCULLIS_LANE_KEYS_FILE"), `${keys.join("\n")}\n`, { mode: 0o600 })
  }
}

const noteLine = (node: Target, line: Line, note: (event: Omit<RigEvent, "atMs">) => void): void => {
  const { msg, level, request, cause, reason, actor, error, why: because } = line
  if (STATES.has(msg)) return note({ node, kind: "fact", text: `${String(msg)} ${String(request).slice(0, 8)}` })
  if (level === "info") return
  const why = [actor, error, because, reason, cause].filter((given) => given !== undefined).map((given) => (typeof given === "string" ? given : JSON.stringify(given)))
  note({ node, kind: "log", text: [`${String(level)}: ${String(msg)}`, ...why].join(": ").slice(0, 300) })
}
