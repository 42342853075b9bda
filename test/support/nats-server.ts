/** A real nats-server with its own port and its own store, started by the test that uses it and by nothing else. */
import { spawn, type ChildProcess } from "node:child_process"
import { randomInt } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import assert from "node:assert/strict"
import { DIES_WITH_US, findNatsServer, NATS_SERVER_MISSING } from "../../tools/server-programs.ts"
import { eventually } from "./eventually.ts"

const READY_MS_MAX = 20_000

export interface NatsServerCommand {
  readonly host: string
  readonly port: number
  /** Its own, and removed with it. */
  readonly storeFolder: string
  /** Everything that is said to the program: these three too. */
  readonly words: ReadonlyArray<string>
}

export class NatsServer {
  readonly host: string
  readonly port: number
  readonly storeFolder: string
  private readonly arguments: ReadonlyArray<string>
  private child: ChildProcess | undefined
  private output = ""

  /** Takes a free port but starts nothing yet. */
  static async prepare(extraArguments: ReadonlyArray<string> = []): Promise<NatsServer> {
    const [host, port, storeFolder] = ["127.0.0.1", await freePort(), await mkdtemp(join(tmpdir(), "portcullis-nats-"))]
    return new NatsServer({ host, port, storeFolder, words: ["-a", host, "-p", String(port), "-js", "-sd", storeFolder, ...extraArguments] })
  }

  /** As somebody else has written it down; starts nothing yet. */
  static of(command: NatsServerCommand): NatsServer {
    return new NatsServer(command)
  }

  static async start(extraArguments: ReadonlyArray<string> = []): Promise<NatsServer> {
    const server = await NatsServer.prepare(extraArguments)
    await server.start()
    return server
  }

  private constructor({ host, port, storeFolder, words }: NatsServerCommand) {
    this.host = host
    this.port = port
    this.storeFolder = storeFolder
    this.arguments = words
  }

  get url(): string {
    return `nats://${this.host}:${this.port}`
  }

  get isRunning(): boolean {
    return this.child !== undefined
  }

  async start(): Promise<void> {
    assert(this.child === undefined, "this nats-server runs already")
    const program = findNatsServer(process.env)
    assert(program !== undefined, NATS_SERVER_MISSING)
    const [command, ...words] = [...DIES_WITH_US, program, ...this.arguments] as [string, ...ReadonlyArray<string>]
    const child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"] })
    this.child = child
    this.output = ""
    child.stderr.on("data", (chunk: Buffer) => (this.output = (this.output + chunk.toString("utf8")).slice(-8_192)))
    child.once("error", (error) => (this.output += String(error)))
    process.once("exit", this.killAtExit)
    await eventually(`nats-server answers on ${this.port}`, async () => {
      assert(child.exitCode === null && child.signalCode === null, `nats-server ended: ${this.output}`)
      return (await greets(this.host, this.port)) && this.output.includes("Server is ready")
    }, READY_MS_MAX)
  }

  /** kill -9: what a crash looks like. The store stays. */
  kill(): Promise<void> {
    return this.end("SIGKILL")
  }

  /** SIGTERM: an orderly end. */
  stop(): Promise<void> {
    return this.end("SIGTERM")
  }

  /** SIGSTOP: alive for the kernel, silent for everybody else. */
  freeze(): void {
    this.child?.kill("SIGSTOP")
  }

  thaw(): void {
    this.child?.kill("SIGCONT")
  }

  /** Everything that was stored is gone: streams, consumers, messages. Only while the server does not run. */
  async wipe(): Promise<void> {
    assert(this.child === undefined, "a store is wiped while its server is down")
    await rm(this.storeFolder, { recursive: true, force: true })
  }

  async dispose(): Promise<void> {
    await this.kill()
    await this.wipe()
  }

  private readonly killAtExit = (): void => {
    this.child?.kill("SIGKILL")
  }

  private async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.child
    if (child === undefined) return
    process.removeListener("exit", this.killAtExit)
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGCONT")
      child.kill(signal)
      await ended
    }
    this.child = undefined
  }
}

/** Below the range from which the kernel gives ports to outgoing connections: a server that is started again finds its port free. */
const [PORT_LEAST, PORT_MOST] = [20_000, 32_000]
const PORT_TRIES_MAX = 50

/** A port that nobody listened on a moment ago. */
export const freePort = (triesLeft: number = PORT_TRIES_MAX): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once("error", (error) => (triesLeft > 1 ? freePort(triesLeft - 1).then(resolve, reject) : reject(error)))
    probe.listen(randomInt(PORT_LEAST, PORT_MOST), "127.0.0.1", () => {
      const address = probe.address()
      assert(address !== null && typeof address === "object")
      probe.close(() => resolve(address.port))
    })
  })

/** A server that speaks NATS greets with `INFO`. */
const greets = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host)
    const answer = (value: boolean) => {
      socket.destroy()
      resolve(value)
    }
    socket.setTimeout(1_000, () => answer(false))
    socket.once("error", () => answer(false))
    socket.once("data", (chunk) => answer(chunk.toString("utf8").startsWith("INFO ")))
  })
