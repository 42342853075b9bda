/** A TCP proxy that can fall silent without closing anything: the half-open connection, which is no error at all to either side. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net"

export interface MuteProxy {
  readonly port: number
  /** Nothing passes any more, in either direction, on old and new connections alike; until `speak`. */
  readonly mute: () => void
  /** New connections pass again; those that fell silent stay silent, as a lost route leaves them. */
  readonly speak: () => void
  readonly connections: () => number
  readonly close: () => Promise<void>
}

export const startMuteProxy = async (port: number): Promise<MuteProxy> => {
  let isMute = false
  let connections = 0
  const sockets = new Set<Socket>()
  const dead = new WeakSet<Socket>()
  const listener = createServer((client) => {
    connections += 1
    const server = connect(port, "127.0.0.1")
    const pass = (from: Socket, to: Socket) => {
      sockets.add(from)
      from.on("error", () => from.destroy())
      from.on("close", () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on("data", (chunk: Buffer) => {
        if (!isMute && !dead.has(client)) to.write(chunk)
      })
    }
    if (isMute) dead.add(client)
    pass(client, server)
    pass(server, client)
    client.once("close", () => dead.delete(client))
    muted.add(() => dead.add(client))
  })
  const muted = new Set<() => void>()
  await new Promise<void>((listening) => listener.listen(0, "127.0.0.1", listening))
  return {
    port: (listener.address() as AddressInfo).port,
    mute: () => {
      isMute = true
      for (const kill of muted) kill()
    },
    speak: () => {
      isMute = false
    },
    connections: () => connections,
    close: () =>
      new Promise((closed) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => closed())
      })
  }
}
