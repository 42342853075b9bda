/** How services of the rig find each other. What a service calls `postgres:5432` is a door of its own, at an address of its own with the port
 * that the compose file says; behind the door is a link that can be hurt. So nothing has to be rewritten in what the file says. */
import { dialledIn } from "../../tools/cluster/as-processes.ts"
import type { Target } from "../rig.ts"
import { targetOf } from "./composed-services.ts"
import { LinkProxy, type Filter } from "./link-proxy.ts"

export interface Link {
  readonly from: Target
  readonly to: Target
  readonly proxy: LinkProxy
}

export interface Upstream {
  readonly host: string
  readonly port: number
}

export interface WiringOptions {
  /** The first three numbers of every address. */
  readonly network: string
  /** Where services really are, by name. */
  readonly addresses: ReadonlyMap<string, string>
  /** What the rig itself serves under a name. */
  readonly own: ReadonlyMap<string, Upstream>
}

const HOST_MAX = 254

export class Wiring {
  readonly links: Array<Link> = []
  private readonly options: WiringOptions
  private nextHost: number

  constructor(options: WiringOptions) {
    this.options = options
    this.nextHost = Math.max(...[...options.addresses.values()].map((address) => Number(address.split(".")[3]))) + 1
  }

  /** What `service` makes of names: for each that it dials in `texts` a door of its own, and the others where they are. */
  async viewOf(service: string, texts: ReadonlyArray<string>, from: Target, inbound?: (to: Target) => (() => Filter) | undefined): Promise<ReadonlyMap<string, string>> {
    const { addresses, own } = this.options
    const others = [...addresses.keys(), ...own.keys()].filter((name) => name !== service)
    const dialled = new Map(dialledIn(texts.join("\n"), others).map((door) => [`${door.name}:${door.port}`, door]))
    const view = new Map(addresses)
    for (const { name, port } of dialled.values()) {
      if (this.nextHost > HOST_MAX) throw new TypeError("this cluster needs more addresses than one network has")
      const listenHost = `${this.options.network}.${this.nextHost++}`
      const to = targetOf(name)
      const filter = inbound?.(to)
      const upstream = own.get(name) ?? { host: addresses.get(name) ?? "", port }
      const proxy = await LinkProxy.open({ upstream, listenHost, listenPort: port, ...(filter === undefined ? {} : { inbound: filter }) })
      this.links.push({ from, to, proxy })
      view.set(name, listenHost)
    }
    return view
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map(({ proxy }) => proxy.close()))
  }
}
