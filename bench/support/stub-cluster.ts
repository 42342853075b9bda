/**
 * Any number of nodes whose steps answer at once, each a process, over one nats-server on one PostgreSQL. The bench pours the
 * blocks and tells every node of them: all see the same chain, and the one that is elected to listen reads it.
 */
import { fork, type ChildProcess } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import { NatsServer } from "../../test/support/nats-server.ts"
import { untilShared } from "./lease-holders.ts"
import type { Rig } from "./open-loop.ts"
import type { Poured } from "./stub-chain.ts"
import type { FromNode, ToNode } from "./stub-node.ts"
import { openTransitionLog, type TransitionLog } from "./transition-log.ts"

const NODE = fileURLToPath(new URL("./stub-node.ts", import.meta.url))
const DRAIN_MS_MAX = 20_000

interface Node {
  readonly child: ChildProcess
  finished: number
}

export class StubCluster implements Rig {
  readonly log: TransitionLog
  private readonly postgres: PostgresAddress
  private readonly nats: NatsServer
  private readonly directory: string
  private readonly chainSeed = randomBytes(16).toString("hex")
  private readonly blocks: Array<Poured> = []
  private readonly nodes: Array<Node> = []
  /** By nodes that have ended. */
  private finishedBefore = 0

  /** The PostgreSQL stays the caller's. */
  static async start(postgres: PostgresAddress): Promise<StubCluster> {
    const directory = await mkdtemp(join(tmpdir(), "portcullis-bench-"))
    await writeFile(join(directory, "key"), randomBytes(32), { mode: 0o600 })
    return new StubCluster(postgres, await NatsServer.start(), directory, await openTransitionLog(postgres))
  }

  private constructor(postgres: PostgresAddress, nats: NatsServer, directory: string, log: TransitionLog) {
    this.postgres = postgres
    this.nats = nats
    this.directory = directory
    this.log = log
  }

  /** Answers when so many nodes run and share the partitions. */
  async setNodes(count: number): Promise<void> {
    await Promise.all(this.nodes.splice(count).map((node) => this.endNode(node)))
    while (this.nodes.length < count) this.nodes.push(await this.startNode(`stub-${this.nodes.length + 1}`))
    if (count > 0) await untilShared(this.postgres, count)
  }

  readonly raise = async (count: number): Promise<void> => {
    const block = { count, timestamp: Math.floor(Date.now() / 1_000) }
    this.blocks.push(block)
    for (const { child } of this.nodes) tell(child, { type: "block", ...block })
  }

  readonly finished = async (): Promise<number> => this.finishedBefore + this.nodes.reduce((sum, node) => sum + node.finished, 0)

  async stop(): Promise<void> {
    await this.setNodes(0)
    await this.log.close()
    await this.nats.dispose()
    await rm(this.directory, { recursive: true, force: true })
  }

  private async startNode(name: string): Promise<Node> {
    const child = fork(NODE, { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    const node: Node = { child, finished: 0 }
    await new Promise<void>((resolve, reject) => {
      child.once("exit", (code, signal) => reject(new TypeError(`${name} ended (${code ?? signal}) before it served`)))
      child.on("message", (message: FromNode) => {
        if (message.type === "serving") return resolve()
        node.finished = message.count
      })
      tell(child, {
        type: "start",
        name,
        postgres: this.postgres,
        natsUrl: this.nats.url,
        keyEncryptionKeyFile: join(this.directory, "key"),
        chainSeed: this.chainSeed,
        blocks: this.blocks
      })
    })
    return node
  }

  private async endNode(node: Node): Promise<void> {
    const { child } = node
    const impatient = setTimeout(() => child.kill("SIGKILL"), DRAIN_MS_MAX)
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGTERM")) await once(child, "exit")
    clearTimeout(impatient)
    this.finishedBefore += node.finished
  }
}

const tell = (child: ChildProcess, message: ToNode): void => void child.send(message)
