/** A cluster of real nats-servers with JetStream, each started with the words of the compose file; their routes may go through links, so that a
 * server can be cut off from the others too. */
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NatsServer, type NatsServerCommand } from "../../test/support/nats-server.ts"
import { anyNetwork, type Plan } from "../../tools/cluster/as-processes.ts"
import { plansAsWritten } from "../../tools/cluster/local-cluster.ts"
import type { Target, Undo } from "../rig.ts"

const STORE = "--store_dir"

/** Its store is where the compose file has a volume for it. */
export const natsCommand = ({ service, address, words: [, ...words] }: Plan): NatsServerCommand => {
  const storeFolder = words[words.indexOf(STORE) + 1]
  const [port] = service.ports
  if (storeFolder === undefined || port === undefined || !words.includes(STORE)) throw new TypeError(`${service.name}: says neither ${STORE} nor a port`)
  return { host: address, port, storeFolder, words }
}

export class NatsCluster {
  readonly servers: ReadonlyMap<Target, NatsServer>
  private readonly directory: string

  /** Copies of what they store are kept in `directory`, which somebody else removes. */
  constructor(commands: ReadonlyMap<Target, NatsServerCommand>, directory: string) {
    this.directory = directory
    this.servers = new Map([...commands].map(([name, command]) => [name, NatsServer.of(command)]))
  }

  /** The servers of the compose file, n1 to nn, and nothing else; for whoever needs a cluster of NATS and no rig. */
  static async alone(): Promise<{ readonly servers: ReadonlyMap<Target, NatsServer>; readonly stop: () => Promise<void> }> {
    const directory = await mkdtemp(join(tmpdir(), "portcullis-nats-"))
    const plans = [...plansAsWritten(directory, anyNetwork()).values()].filter(({ service }) => service.image.startsWith("nats:"))
    for (const { directories } of plans) for (const folder of directories) await mkdir(folder, { recursive: true })
    const cluster = new NatsCluster(new Map(plans.map((plan, index) => [`n${index + 1}`, natsCommand(plan)])), directory)
    await Promise.all([...cluster.servers.values()].map((server) => server.start()))
    return {
      servers: cluster.servers,
      stop: async () => {
        await cluster.stop()
        await rm(directory, { recursive: true, force: true })
      }
    }
  }

  server(name: Target): NatsServer {
    const server = this.servers.get(name)
    if (server === undefined) throw new TypeError(`there is no NATS server ${name}`)
    return server
  }

  /** Whoever of these is running comes up again without anything. */
  async wipe(names: ReadonlyArray<Target>): Promise<void> {
    const servers = names.map((name) => this.server(name))
    await Promise.all(servers.map((server) => server.kill()))
    await Promise.all(servers.map(({ storeFolder }) => empty(storeFolder)))
    await Promise.all(servers.map((server) => server.start()))
  }

  /** Frozen while it is copied, so that the copies are of one moment. */
  async keepCopy(): Promise<Undo> {
    const copy = await mkdtemp(join(this.directory, "copy-"))
    const all = [...this.servers]
    for (const [, server] of all) server.freeze()
    await Promise.all(all.map(([name, server]) => cp(server.storeFolder, join(copy, name), { recursive: true })))
    for (const [, server] of all) server.thaw()
    return async () => {
      await Promise.all(all.map(([, server]) => server.kill()))
      for (const [name, server] of all) {
        await empty(server.storeFolder)
        await cp(join(copy, name), server.storeFolder, { recursive: true })
      }
      await Promise.all(all.map(([, server]) => server.start()))
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.servers.values()].map((server) => server.dispose()))
  }
}

/** The folder itself may be a mount point and stays. */
const empty = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch(() => [])
  await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })))
}
