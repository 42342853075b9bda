/** An object store over HTTP, in front of a directory, that can be slow, absent or wrong. Reads only: what is stored is put into the
 * directory. */
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import type { StoreFault, Undo } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"

export interface ObjectStoreServer {
  readonly port: number
  readonly misbehave: (fault: StoreFault) => Undo
  readonly close: () => Promise<void>
}

export const serveObjectStore = async (directory: string, random: SeededRandom): Promise<ObjectStoreServer> => {
  const faults: Array<StoreFault> = []
  const server = createServer(async (request, response) => {
    const fault = faults.at(-1)
    const key = (request.url ?? "").slice(1)
    if (fault?.type === "slow") await pause(fault.ms)
    const isHit = fault !== undefined && fault.type !== "slow" && random.next() < fault.share
    if (isHit && fault.type === "status") return void response.writeHead(fault.status).end()
    const bytes = /^[\w-]+(?:\/[\w-]+)*\.pct$/.test(key) ? await readFile(join(directory, key)).catch(() => undefined) : undefined
    if (bytes === undefined) return void response.writeHead(404).end()
    if (isHit) bytes[random.between(0, bytes.length - 1)]! ^= 1
    response.writeHead(200, { "content-length": bytes.length }).end(bytes)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    misbehave: (fault) => {
      faults.push(fault)
      return async () => void faults.splice(faults.indexOf(fault), 1)
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    }
  }
}
