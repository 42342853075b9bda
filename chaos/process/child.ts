/** A process of ours: started, watched by the lines it says, frozen, ended. It dies with the rig, however the rig ends. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { DIES_WITH_US } from "../../tools/server-programs.ts"

const READY_MS_MAX = 60_000
/** A drain that takes longer has failed, and the report says so. */
const DRAIN_MS_MAX = 45_000
const COMPLAINT_BYTES = 2_048

export type Line = Readonly<Record<string, unknown>>

export interface ChildOptions {
  readonly name: string
  /** Asked at every start, as is the environment: a restart may find others. */
  readonly command: () => ReadonlyArray<string>
  readonly environment: () => Readonly<Record<string, string>>
  readonly isReady: (line: Line) => boolean
  readonly onLine: (line: Line) => void
  /** It had served, and nobody asked it to end. One that never serves is told to whoever starts it. */
  readonly onUnexpectedEnd: (how: string) => void
}

export class Child {
  private child: ChildProcess | undefined
  private isExpectedToEnd = false
  private readonly options: ChildOptions

  constructor(options: ChildOptions) {
    this.options = options
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  async start(): Promise<void> {
    if (this.isRunning) return
    const { name, command, environment, isReady, onLine, onUnexpectedEnd } = this.options
    const [program = "", ...words] = [...DIES_WITH_US, ...command()]
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env: environment() })
    this.child = child
    this.isExpectedToEnd = false
    let complaint = ""
    let hasServed = false
    child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-COMPLAINT_BYTES)))
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new TypeError(`${name} ${why}: ${complaint.trim() || "it said nothing"}`))
      const timer = setTimeout(() => fail(`did not serve within ${READY_MS_MAX / 1_000} s`), READY_MS_MAX)
      child.once("exit", (code, signal) => {
        clearTimeout(timer)
        fail(`ended (${code ?? signal})`)
        if (hasServed && !this.isExpectedToEnd) onUnexpectedEnd(`${code ?? signal}: ${complaint.trim()}`)
      })
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = parsed(text)
        onLine(line)
        if (!isReady(line)) return
        clearTimeout(timer)
        hasServed = true
        resolve()
      })
    })
  }

  freeze(): void {
    this.child?.kill("SIGSTOP")
  }

  thaw(): void {
    this.child?.kill("SIGCONT")
  }

  kill(): Promise<void> {
    return this.end("SIGKILL")
  }

  /** Answers whether it ended by itself in time. */
  async drain(): Promise<boolean> {
    this.thaw()
    let isInTime = true
    const impatient = setTimeout(() => {
      isInTime = false
      this.child?.kill("SIGKILL")
    }, DRAIN_MS_MAX)
    await this.end("SIGTERM")
    clearTimeout(impatient)
    return isInTime
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    this.isExpectedToEnd = true
    const child = this.child
    if (child === undefined || !this.isRunning) return
    const ended = once(child, "exit")
    child.kill(signal)
    await ended
  }
}

const parsed = (text: string): Line => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return { level: "warn", msg: text }
  }
}
