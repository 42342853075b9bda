/** A TCP link that can be hurt: it stands between one node and one thing that node talks to, and holds back, slows or swallows bytes. No end
 * is told. What it cannot do is lose a packet: TCP would send it again, so a lossy network is a slow one. */
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"
import type { LinkFault } from "../rig.ts"

/** Bytes that wait on one way before the sender is held back, as a kernel's buffers would. */
const HELD_BYTES_MAX = 1024 * 1024
const DRIP_EVERY_MS = 100

/** Looks at whole chunks on their way to the node that dialled; answers what it shall get instead. */
export type Filter = (chunk: Buffer) => ReadonlyArray<Buffer>

export interface LinkProxyOptions {
  readonly upstream: { readonly host: string; readonly port: number }
  /** Any that is free when missing. */
  readonly listenPort?: number
  /** 127.0.0.1 when missing. */
  readonly listenHost?: string
  /** One for each connection. */
  readonly inbound?: () => Filter
}

type Way = "in" | "out"

/** One direction of one connection. `out` is what the node that dialled sends. */
class OneWay {
  private readonly queue: Array<{ readonly bytes: Buffer; readonly arrivedMs: number }> = []
  private queuedBytes = 0
  private hasEnded = false
  private timer: NodeJS.Timeout | undefined
  private readonly way: Way
  private readonly from: Socket
  private readonly to: Socket
  private readonly faultNow: () => LinkFault | undefined

  constructor(way: Way, from: Socket, to: Socket, faultNow: () => LinkFault | undefined, filter?: Filter) {
    this.way = way
    this.from = from
    this.to = to
    this.faultNow = faultNow
    from.on("data", (chunk: Buffer) => {
      if (faultNow()?.type === "half-open" && way === "out") return // read, and never answered
      for (const bytes of filter?.(chunk) ?? [chunk]) this.hold(bytes)
      if (this.queuedBytes > HELD_BYTES_MAX) from.pause()
      this.pump()
    })
    from.on("end", () => {
      this.hasEnded = true
      this.pump()
    })
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  /** Sends what may go now, and looks again when more may. */
  pump(): void {
    if (this.timer !== undefined) return
    const fault = this.faultNow()
    if (fault?.type === "half-open") return
    if (fault?.type === "cut" && (fault.direction === "both" || fault.direction === this.way)) return
    if (fault?.type === "slow-drip") return this.drip(fault.bytesPerSecond)
    for (let head = this.queue[0]; head !== undefined; head = this.queue[0]) {
      const waitMs = fault?.type === "delay" ? head.arrivedMs + fault.ms - performance.now() : 0
      if (waitMs > 0) return this.again(waitMs)
      this.send(head.bytes)
      this.queue.shift()
    }
    if (this.hasEnded) this.to.end()
  }

  private drip(bytesPerSecond: number): void {
    const [head] = this.queue
    if (head === undefined) return void (this.hasEnded && this.to.end())
    const few = Math.max(1, Math.round((bytesPerSecond * DRIP_EVERY_MS) / 1_000))
    this.send(head.bytes.subarray(0, few))
    if (few >= head.bytes.length) this.queue.shift()
    else this.queue[0] = { ...head, bytes: head.bytes.subarray(few) }
    this.again(DRIP_EVERY_MS)
  }

  private again(ms: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.pump()
    }, ms)
  }

  private hold(bytes: Buffer): void {
    this.queue.push({ bytes, arrivedMs: performance.now() })
    this.queuedBytes += bytes.length
  }

  private send(bytes: Buffer): void {
    this.queuedBytes -= bytes.length
    if (!this.to.destroyed) this.to.write(bytes)
    if (this.queuedBytes <= HELD_BYTES_MAX && this.from.isPaused()) this.from.resume()
  }
}

interface Connection {
  readonly near: Socket
  readonly far: Socket
  readonly ways: ReadonlyArray<OneWay>
}

export class LinkProxy {
  /** Newest last; the newest is what counts. */
  private readonly faults: Array<LinkFault> = []
  private readonly listener: Server
  private readonly connections = new Set<Connection>()
  private upstream: LinkProxyOptions["upstream"]

  static async open(options: LinkProxyOptions): Promise<LinkProxy> {
    const proxy = new LinkProxy(options)
    proxy.listener.listen(options.listenPort ?? 0, options.listenHost ?? "127.0.0.1")
    await once(proxy.listener, "listening")
    return proxy
  }

  private constructor({ upstream, inbound }: LinkProxyOptions) {
    this.upstream = upstream
    this.listener = createServer((near) => {
      near.setNoDelay(true)
      const far = connect(this.upstream.port, this.upstream.host).setNoDelay(true)
      const fault = () => this.faults.at(-1)
      const ways = [new OneWay("out", near, far, fault), new OneWay("in", far, near, fault, inbound?.())]
      const connection = { near, far, ways }
      this.connections.add(connection)
      for (const socket of [near, far]) {
        socket.on("error", () => socket.destroy())
        // Who is cut off does not learn that the other end has gone.
        socket.on("close", () => this.faults.length === 0 && this.end(connection))
      }
    })
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port
  }

  get openConnections(): number {
    return this.connections.size
  }

  /** Until the answer is called. */
  hurt(fault: LinkFault): () => void {
    this.faults.push(fault)
    return () => {
      this.faults.splice(this.faults.indexOf(fault), 1)
      for (const connection of this.connections) {
        // What was swallowed cannot be had back: connections that were half open end now.
        if (fault.type === "half-open" || connection.near.destroyed || connection.far.destroyed) this.end(connection)
        else for (const way of connection.ways) way.pump()
      }
    }
  }

  /** Somebody else answers there from now on, as at an address that moves to another server. Open connections end. */
  retarget(upstream: LinkProxyOptions["upstream"]): void {
    this.upstream = upstream
    for (const connection of this.connections) this.end(connection)
  }

  async close(): Promise<void> {
    for (const connection of this.connections) this.end(connection)
    this.listener.close()
    await once(this.listener, "close")
  }

  private end(connection: Connection): void {
    this.connections.delete(connection)
    connection.near.destroy()
    connection.far.destroy()
    for (const way of connection.ways) way.stop()
  }
}
