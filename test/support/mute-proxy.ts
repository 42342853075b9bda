/** A TCP proxy that can fall silent without closing anything: the half-open connection, which is no error at all to either side. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net"

export interface MuteProxy {
  readonly port: number
  /** From now on nothing passes, in either direction, on old and new connections alike. */
  readonly mute: () => void
  /** New connections pass again; those that fell silent stay silent, as a lost route leaves them. */
  readonly speak: () => void
  /** Made so far. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

/** In front of a port of this machine, or of a socket in its file system. */
export const startMuteProxy = async (behind: number | string): Promise<MuteProxy> => {
  let isMute = false
  let connections = 0
  const open = new Set<{ isSilent: boolean; readonly ends: ReadonlyArray<Socket> }>()
  const listener = createServer((client) => {
    connections += 1
    const server = typeof behind === "number" ? connect(behind, "127.0.0.1") : connect(behind)
    const link = { isSilent: isMute, ends: [client, server] as const }
    open.add(link)
    const pass = (from: Socket, to: Socket) => {
      from.on("error", () => from.destroy())
      from.on("close", () => {
        open.delete(link)
        to.destroy()
      })
      from.on("data", (chunk: Buffer) => {
        if (!link.isSilent) to.write(chunk)
      })
    }
    pass(client, server)
    pass(server, client)
  })
  await new Promise<void>((listening) => listener.listen(0, "127.0.0.1", listening))
  return {
    port: (listener.address() as AddressInfo).port,
    mute: () => {
      isMute = true
      for (const link of open) link.isSilent = true
    },
    speak: () => {
      isMute = false
    },
    connections: () => connections,
    close: () =>
      new Promise((closed) => {
        for (const { ends } of open) for (const end of ends) end.destroy()
        listener.close(() => closed())
      })
  }
}
