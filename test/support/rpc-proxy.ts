/**
 * A JSON-RPC endpoint between a test and a real one: it forwards every call until it is told to misbehave. What it can do is what
 * endpoints have been seen doing: silence, noise, half answers, answers about something else.
 */
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { buffer } from "node:stream/consumers"
import { setTimeout as pause } from "node:timers/promises"

export interface Call {
  readonly id: number
  readonly method: string
  readonly params: ReadonlyArray<never>
}

export interface Answer {
  readonly id: number | null
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

/** Each for as long as it lasts. */
export type Fault =
  | { readonly type: "delay"; readonly ms: number }
  | { readonly type: "status"; readonly code: number; readonly body?: string }
  /** Status 200 and this text. */
  | { readonly type: "says"; readonly text: string }
  | { readonly type: "truncates" }
  | { readonly type: "closes"; readonly when: "before the answer" | "within the answer" }
  | { readonly type: "hangs" }
  /** A byte now and then, for ever. */
  | { readonly type: "drips"; readonly everyMs: number }
  | { readonly type: "floods"; readonly bytes: number }
  /** The answers of a batch, in whatever order and number. */
  | { readonly type: "answers"; readonly change: (answers: ReadonlyArray<Answer>) => unknown }
  /** What these methods answer instead. */
  | { readonly type: "lies"; readonly about: Readonly<Record<string, (result: never, params: ReadonlyArray<never>) => unknown>> }
  | { readonly type: "errs"; readonly at: ReadonlyArray<string>; readonly with: NonNullable<Answer["error"]> }
  /** Each call answered on its own; `ask` puts any question to the endpoint behind. */
  | { readonly type: "serves"; readonly answer: (call: Call, ask: (method: string, params: ReadonlyArray<unknown>) => Promise<Answer>) => Promise<Answer> }

export interface RpcProxy {
  readonly url: string
  /** From now on; nothing means honest again. A function is asked for every HTTP request. */
  readonly misbehave: (fault?: Fault | (() => Fault | undefined)) => void
  /** Methods asked, batches taken apart. */
  readonly asked: Array<string>
  /** Of HTTP requests. */
  readonly posts: () => number
  readonly openSockets: () => number
  readonly close: () => Promise<void>
}

/** `port` 0 takes any that is free. */
export const startRpcProxy = async (upstream: string, port = 0): Promise<RpcProxy> => {
  let fault: Fault | (() => Fault | undefined) | undefined
  let posts = 0
  const asked: Array<string> = []
  const sockets = new Set<Socket>()

  const forward = async (body: string): Promise<ReadonlyArray<Answer>> => {
    const response = await fetch(upstream, { method: "POST", headers: { "content-type": "application/json" }, body })
    const json = (await response.json()) as Answer | ReadonlyArray<Answer>
    return Array.isArray(json) ? json : [json as Answer]
  }

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    posts += 1
    const body = (await buffer(request)).toString()
    const question = JSON.parse(body) as Call | ReadonlyArray<Call>
    const calls = Array.isArray(question) ? (question as ReadonlyArray<Call>) : [question as Call]
    asked.push(...calls.map(({ method }) => method))
    const now = typeof fault === "function" ? fault() : fault
    if (now?.type === "hangs") return
    if (now?.type === "status") return void response.writeHead(now.code, { "retry-after": "1" }).end(now.body ?? "no")
    if (now?.type === "says") return void response.end(now.text)
    if (now?.type === "floods") return void response.end(Buffer.alloc(now.bytes, " "))
    if (now?.type === "closes" && now.when === "before the answer") return void request.socket.destroy()
    if (now?.type === "drips") {
      while (!response.destroyed) {
        response.write(" ")
        await pause(now.everyMs)
      }
      return
    }
    if (now?.type === "delay") await pause(now.ms)
    const ask = async (method: string, params: ReadonlyArray<unknown>) => (await forward(JSON.stringify({ jsonrpc: "2.0", id: 0, method, params })))[0]!
    const served = async (call: Call) => ({ ...(await (now as Extract<Fault, { type: "serves" }>).answer(call, ask)), jsonrpc: "2.0", id: call.id })
    const honest = now?.type === "serves" ? await Promise.all(calls.map(served)) : await forward(body)
    const told = now?.type === "answers" ? now.change(honest) : honest.map((answer) => toldBy(now, answer, calls))
    const text = JSON.stringify(Array.isArray(question) || !Array.isArray(told) ? told : (told[0] as unknown))
    if (now?.type === "truncates") return void response.end(text.slice(0, -5))
    if (now?.type === "closes") {
      response.writeHead(200, { "content-length": text.length })
      return void response.write(text.slice(0, 10), () => request.socket.destroy())
    }
    response.setHeader("content-type", "application/json").end(text)
  }

  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()))
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v3/an-api-key`,
    misbehave: (next) => (fault = next),
    asked,
    posts: () => posts,
    openSockets: () => sockets.size,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    }
  }
}

const toldBy = (fault: Fault | undefined, answer: Answer, calls: ReadonlyArray<Call>): Answer => {
  const call = calls.find(({ id }) => id === answer.id)
  if (call === undefined) return answer
  if (fault?.type === "errs" && fault.at.includes(call.method)) return { id: answer.id, error: fault.with }
  const lie = fault?.type === "lies" ? fault.about[call.method] : undefined
  return lie === undefined ? answer : { id: answer.id, result: lie(answer.result as never, call.params) }
}
