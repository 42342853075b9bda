/** Stands between a NATS client and its server, and swallows what the client publishes on chosen subjects, without any error. */
import assert from "node:assert/strict"
import { connect, createServer, type Server, type Socket } from "node:net"

export class DeafProxy {
  /** Frames published on a subject that contains this are lost; undefined lets everything pass. */
  deafTo: string | undefined
  /** Frames lost so far. */
  swallowed = 0
  private readonly listener: Server
  private readonly sockets = new Set<Socket>()

  static async before(port: number): Promise<DeafProxy> {
    const proxy = new DeafProxy(port)
    await new Promise<void>((resolve) => proxy.listener.listen(0, "127.0.0.1", resolve))
    return proxy
  }

  private constructor(port: number) {
    this.listener = createServer((client) => {
      const server = connect(port, "127.0.0.1")
      for (const socket of [client, server]) {
        this.sockets.add(socket)
        socket.on("error", () => socket.destroy())
        socket.on("close", () => {
          client.destroy()
          server.destroy()
        })
      }
      server.pipe(client)
      client.on("data", (chunk: Buffer) => server.write(this.heard(chunk)))
    })
  }

  get url(): string {
    const address = this.listener.address()
    assert(address !== null && typeof address === "object")
    return `nats://127.0.0.1:${address.port}`
  }

  close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    return new Promise((resolve) => this.listener.close(() => resolve()))
  }

  /** The client writes whole frames: `PUB <subject> <reply> <length>\r\n<payload>\r\n`. */
  private heard(chunk: Buffer): Buffer {
    if (this.deafTo === undefined) return chunk
    let rest = chunk.toString("latin1")
    for (;;) {
      const at = rest.search(new RegExp(`PUB \\S*${this.deafTo.replaceAll(".", "\\.")}`))
      if (at < 0) return Buffer.from(rest, "latin1")
      const lineEnd = rest.indexOf("\r\n", at)
      const payloadBytes = Number(rest.slice(at, lineEnd).split(" ").at(-1))
      rest = rest.slice(0, at) + rest.slice(lineEnd + 2 + payloadBytes + 2)
      this.swallowed++
    }
  }
}
