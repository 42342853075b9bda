/** The database of the rig: the server that is the primary now, and the standby that will be the next. */
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect, Scope } from "effect"
import type { PostgresServer } from "../../src/adapters/embedded/postgres-server.ts"
import { type Standby, startStandby } from "./standby.ts"

const run = promisify(execFile)

export class Databases {
  private server: PostgresServer
  private directory: string
  private readonly settings: Readonly<Record<string, string>>
  private readonly scope: Scope.Closeable
  private standby: Standby | undefined
  private standbyDirectory = ""
  private readonly folders: Array<string> = []

  /** `directory` and `settings` are those that the primary was started with. */
  constructor(primary: PostgresServer, directory: string, settings: Readonly<Record<string, string>>, scope: Scope.Closeable) {
    this.server = primary
    this.directory = directory
    this.settings = settings
    this.scope = scope
  }

  get primary(): PostgresServer {
    return this.server
  }

  /** The primary is stopped and started for it. */
  async prepareStandby(): Promise<Standby> {
    if (this.standby !== undefined) return this.standby
    this.standbyDirectory = await mkdtemp(join(tmpdir(), "portcullis-chaos-standby-"))
    this.folders.push(this.standbyDirectory)
    const options = { primary: this.server, primaryDirectory: this.directory, directory: join(this.standbyDirectory, "server"), settings: this.settings }
    this.standby = await Effect.runPromise(startStandby(options).pipe(Scope.provide(this.scope)))
    return this.standby
  }

  /** The primary is killed for ever; answers who takes its place. */
  async promote(lostMs: number): Promise<PostgresServer> {
    const standby = await this.prepareStandby()
    await standby.caughtUp()
    await standby.deafen()
    await pause(lostMs)
    await Effect.runPromise(this.server.kill)
    await standby.promote()
    const { database } = this.server.address
    this.server = { ...standby.server, address: { ...standby.server.address, database } }
    this.directory = join(this.standbyDirectory, "server")
    this.standby = undefined
    return this.server
  }

  /** Of the disk of the primary, which is stopped and started for it; answers how to put it back. */
  async keepCopy(): Promise<() => Promise<void>> {
    const { server, directory } = this
    const [data, copies] = [join(directory, "data"), await mkdtemp(join(tmpdir(), "portcullis-chaos-snapshot-"))]
    this.folders.push(copies)
    const copy = join(copies, "data")
    const replace = async (from: string, to: string) => {
      await rm(to, { recursive: true, force: true })
      await run("cp", ["-a", from, to]) // with its owner: PostgreSQL never runs as root
    }
    await Effect.runPromise(server.stop("immediate"))
    await replace(data, copy)
    await Effect.runPromise(server.start)
    return async () => {
      await Effect.runPromise(server.kill)
      await replace(copy, data)
      await Effect.runPromise(server.start)
      await rm(copies, { recursive: true, force: true })
    }
  }

  /** Once the servers have stopped. */
  async removeFolders(): Promise<void> {
    for (const folder of this.folders) await rm(folder, { recursive: true, force: true })
  }
}
