/** The database of the rig: the server that is the primary now, and the standby that will be the next. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { Effect, Scope } from "effect"
import type { PostgresServer } from "../../src/adapters/embedded/postgres-server.ts"
import { CannotInject } from "../rig.ts"
import { type Standby, startStandby } from "./standby.ts"

export const POSTGRES_SETTINGS = { shared_buffers: "64MB", max_connections: "120", max_wal_size: "96MB" }

export class Databases {
  private server: PostgresServer
  private directory: string | undefined
  private readonly scope: Scope.Closeable
  private standby: Standby | undefined
  private standbyDirectory = ""
  private readonly folders: Array<string> = []

  /** Without its folder there is no standby. */
  constructor(primary: PostgresServer, directory: string | undefined, scope: Scope.Closeable) {
    this.server = primary
    this.directory = directory
    this.scope = scope
  }

  get primary(): PostgresServer {
    return this.server
  }

  /** The primary is stopped and started for it. */
  async prepareStandby(): Promise<Standby> {
    if (this.directory === undefined) throw new CannotInject("standby", "this cluster has none")
    if (this.standby !== undefined) return this.standby
    this.standbyDirectory = await mkdtemp(join(tmpdir(), "portcullis-chaos-standby-"))
    this.folders.push(this.standbyDirectory)
    const options = { primary: this.server, primaryDirectory: this.directory, directory: join(this.standbyDirectory, "server"), settings: POSTGRES_SETTINGS }
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
    this.server = standby.server
    this.directory = join(this.standbyDirectory, "server")
    this.standby = undefined
    return this.server
  }

  /** Once the servers have stopped. */
  async removeFolders(): Promise<void> {
    for (const folder of this.folders) await rm(folder, { recursive: true, force: true })
  }
}
