/** A cluster of real nats-servers with JetStream whose routes go through links of ours, so that a server can be cut off from the others too. */
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort, NatsServer } from "../../test/support/nats-server.ts"
import type { Target, Undo } from "../rig.ts"
import { LinkProxy } from "./link-proxy.ts"

export interface ClusterLink {
  readonly from: Target
  readonly to: Target
  readonly proxy: LinkProxy
}

export class NatsCluster {
  readonly servers: ReadonlyMap<Target, NatsServer>
  readonly links: ReadonlyArray<ClusterLink>
  private readonly directory: string

  /** `prepared` is told where each will store, before it does. */
  static async start(names: ReadonlyArray<Target>, prepared: (name: Target, storeFolder: string) => Promise<void>): Promise<NatsCluster> {
    const directory = await mkdtemp(join(tmpdir(), "portcullis-chaos-nats-"))
    const ports = await Promise.all(names.map(() => freePort()))
    // Servers tell each other where they listen and would connect past the links: they say a door where nobody answers.
    const nowhere = await freePort()
    const links = await Promise.all(
      names.flatMap((from) =>
        names
          .filter((to) => to !== from)
          .map(async (to) => ({ from, to, proxy: await LinkProxy.open({ upstream: { host: "127.0.0.1", port: ports[names.indexOf(to)]! } }) }))
      )
    )
    const servers = await Promise.all(
      names.map(async (name, index) => {
        const file = join(directory, `${name}.conf`)
        const routes = links.filter(({ from }) => from === name).map(({ proxy }) => `nats-route://127.0.0.1:${proxy.port}`)
        await writeFile(file, configOf(name, ports[index]!, nowhere, routes))
        return [name, await NatsServer.prepare(["-c", file])] as const
      })
    )
    for (const [name, { storeFolder }] of servers) await prepared(name, storeFolder)
    const cluster = new NatsCluster(new Map(servers), links, directory)
    await Promise.all([...cluster.servers.values()].map((server) => server.start()))
    return cluster
  }

  private constructor(servers: ReadonlyMap<Target, NatsServer>, links: ReadonlyArray<ClusterLink>, directory: string) {
    this.servers = servers
    this.links = links
    this.directory = directory
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
    await Promise.all(this.links.map(({ proxy }) => proxy.close()))
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** The folder itself may be a mount point and stays. */
const empty = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch(() => [])
  await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })))
}

const configOf = (name: Target, port: number, nowhere: number, routes: ReadonlyArray<string>): string => `server_name: ${name}
# More than a small disk has: otherwise the server refuses streams that could fill it, and none would ever be full.
jetstream { max_file_store: 8GB }
cluster {
  name: chaos
  listen: "127.0.0.1:${port}"
  cluster_advertise: "127.0.0.1:${nowhere}"
  no_advertise: true
  routes: [${routes.map((route) => `"${route}"`).join(", ")}]
}
`
