/** The fault API for a staging cluster of one's own: links and processes that its file names, hurt over HTTP by whoever has the token. Every
 * fault ends by itself, also when whoever asked for it is gone. */
import { createHash, timingSafeEqual } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { LinkProxy } from "../process/link-proxy.ts"
import type { LinkFault } from "../rig.ts"
import type { AgentOptions } from "./agent-file.ts"

/** Longer than any lease and any patience of ours; a cluster that is forgotten must heal. */
const FOR_MS_MAX = 10 * 60_000
const BODY_BYTES_MAX = 4_096

export interface Agent {
  readonly port: number
  readonly close: () => Promise<void>
}

interface Active {
  readonly id: number
  readonly target: string
  readonly fault: unknown
  readonly untilMs: number
  readonly end: () => void
}

class Refused extends TypeError {
  readonly status: number
  constructor(status: number, sentence: string) {
    super(sentence)
    this.status = status
  }
}

export const startAgent = async (options: AgentOptions): Promise<Agent> => {
  const links = new Map<string, LinkProxy>()
  for (const { name, listenPort, to } of options.links) links.set(name, await LinkProxy.open({ upstream: to, listenPort }))
  const processes = new Map(options.processes.map(({ name, pidFile }) => [name, pidFile]))
  const active = new Map<number, Active>()
  let last = 0

  const begin = (target: string, fault: Readonly<Record<string, unknown>>): (() => void) => {
    const link = links.get(target)
    if (link !== undefined) return link.hurt(linkFault(fault))
    const pidFile = processes.get(target)
    if (pidFile === undefined) throw new Refused(404, `there is no ${target}; there are ${[...links.keys(), ...processes.keys()].join(", ")}`)
    return hurtProcess(pidFile, fault)
  }

  const add = (body: Readonly<Record<string, unknown>>): { readonly id: number } => {
    const { target, fault, forMs } = body
    if (typeof target !== "string" || typeof fault !== "object" || fault === null) throw new Refused(400, "a fault is {target, fault: {type, ...}, forMs}")
    const lastsMs = within("forMs", forMs, 1, FOR_MS_MAX)
    const undo = begin(target, fault as Readonly<Record<string, unknown>>)
    const id = ++last
    const timer = setTimeout(() => active.get(id)?.end(), lastsMs)
    const end = () => {
      clearTimeout(timer)
      if (active.delete(id)) undo()
    }
    active.set(id, { id, target, fault, untilMs: Date.now() + lastsMs, end })
    return { id }
  }

  const answer = async (request: IncomingMessage): Promise<readonly [status: number, body: unknown]> => {
    const [method, path] = [request.method, request.url ?? ""]
    if (!isSame(request.headers.authorization ?? "", `Bearer ${options.token}`)) throw new Refused(401, "the token is missing or another one")
    if (method === "GET" && path === "/faults") {
      const faults = [...active.values()].map(({ id, target, fault, untilMs }) => ({ id, target, fault, untilMs }))
      return [200, { links: [...links.keys()], processes: [...processes.keys()], faults }]
    }
    if (method === "POST" && path === "/faults") return [201, add(await bodyOf(request))]
    const id = Number(/^\/faults\/(\d+)$/.exec(path)?.[1] ?? Number.NaN)
    if (method === "DELETE" && Number.isInteger(id)) {
      const found = active.get(id)
      if (found === undefined) throw new Refused(404, `fault ${id} has ended, or never began`)
      found.end()
      return [200, { id }]
    }
    throw new Refused(404, "there are GET /faults, POST /faults and DELETE /faults/<id>")
  }

  const server = createServer((request, response) => {
    const send = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`)
    answer(request).then(
      ([status, body]) => send(status, body),
      (error: unknown) => send(error instanceof Refused ? error.status : 500, { error: error instanceof Error ? error.message : "unknown" })
    )
  })
  server.listen(options.port, options.host)
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const { end } of active.values()) end()
      server.close()
      server.closeAllConnections()
      await Promise.all([once(server, "close"), ...[...links.values()].map((link) => link.close())])
    }
  }
}

const linkFault = ({ type, direction, ms, bytesPerSecond }: Readonly<Record<string, unknown>>): LinkFault => {
  switch (type) {
    case "half-open":
      return { type }
    case "delay":
      return { type, ms: within("ms", ms, 1, 60_000) }
    case "slow-drip":
      return { type, bytesPerSecond: within("bytesPerSecond", bytesPerSecond, 1, 100_000) }
    case "cut":
      if (direction === "both" || direction === "in" || direction === "out") return { type, direction }
      throw new Refused(400, "direction is both, in or out")
    default:
      throw new Refused(400, "a link takes cut, delay, half-open and slow-drip")
  }
}

/** The process is looked up anew when a fault ends: it may have been started again. */
const hurtProcess = (pidFile: string, { type }: Readonly<Record<string, unknown>>): (() => void) => {
  const signal = (name: NodeJS.Signals) => {
    const pid = Number(readFileSync(pidFile, "utf8").trim())
    // 0 and negative numbers would be whole groups of processes.
    if (!Number.isInteger(pid) || pid <= 1) throw new Refused(409, `${pidFile} names no process`)
    try {
      process.kill(pid, name)
    } catch {
      throw new Refused(409, `process ${pid} is not there, or not ours`)
    }
  }
  if (type === "kill") {
    signal("SIGKILL")
    return () => {}
  }
  if (type !== "freeze") throw new Refused(400, "a process takes freeze and kill; its service manager starts it again")
  signal("SIGSTOP")
  return () => {
    try {
      signal("SIGCONT")
    } catch {
      // It has ended meanwhile: nothing is frozen any more.
    }
  }
}

const within = (name: string, value: unknown, least: number, most: number): number => {
  if (typeof value !== "number" || !(value >= least && value <= most)) throw new Refused(400, `${name} is a number from ${least} to ${most}`)
  return value
}

const bodyOf = async (request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> => {
  let text = ""
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > BODY_BYTES_MAX) throw new Refused(413, `a fault has at most ${BODY_BYTES_MAX} bytes`)
  }
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch {
    throw new Refused(400, "the body is not JSON")
  }
}

/** In constant time, whatever the lengths. */
const isSame = (given: string, wanted: string): boolean => {
  const digest = (text: string) => createHash("sha256").update(text).digest()
  return timingSafeEqual(digest(given), digest(wanted))
}
