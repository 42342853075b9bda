/**
 * A small HTTP server for GET and HEAD on fixed paths: for probes and metrics, not for the public. Headers, time and
 * connections are bounded, bodies are not taken, and an answer never says more about a failure than that there was one. Lives
 * as long as its scope.
 */
import { Effect, Exit, Schema, type Scope } from "effect"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { Fate } from "../../domain/fate.ts"

export interface HttpAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** By exact path; a query is ignored. */
export type Routes = Readonly<Record<string, Effect.Effect<HttpAnswer>>>

export interface HttpServerOptions {
  /** 127.0.0.1 unless told otherwise: what is served here is for this machine until an operator decides. */
  readonly host?: string
  /** 0: any free port. */
  readonly port: number
}

/** The address cannot be listened on. Nothing is served; an operator must free it or name another. */
export class HttpNotStarted extends Schema.TaggedError<HttpNotStarted>()("HttpNotStarted", {
  host: Schema.String,
  port: Schema.Int,
  code: Schema.String
}) {
  readonly fate: Fate = "halt"
  override get message() {
    return `nothing can listen on ${this.host} port ${this.port}: ${this.code}`
  }
}

/** Probes and a few Prometheus servers; more is a mistake or an attack. */
const CONNECTIONS_MAX = 64
const HEADER_BYTES_MAX = 8 * 1024
const HEADERS_MAX = 64
/** Ours are read in microseconds: whoever is slower holds a connection that a probe may need. */
const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 5_000
/** How often the two bounds above are looked at. */
const TIMEOUT_CHECK_MS = 1_000
/** What an answer may take to be made. Checks behind a route have shorter bounds of their own. */
const ANSWER_TIMEOUT_MS = 8_000
/** Answers under way may finish before the connections are cut. */
const CLOSE_GRACE_MS = 1_000

const text = (status: number, body: string): HttpAnswer => ({
  status,
  contentType: "text/plain; charset=utf-8",
  body: `${body}\n`
})

/** The base URL, once it answers. */
export const serveRoutes = Effect.fnUntraced(function* (
  routes: Routes,
  { host = "127.0.0.1", port }: HttpServerOptions
): Effect.fn.Return<{ readonly url: string; readonly port: number }, HttpNotStarted, Scope.Scope> {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const table = new Map(Object.entries(routes))
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS
    },
    (request, response) => {
      // The client may hang up at any moment; there is nobody to tell.
      response.on("error", () => {})
      if (hasBody(request)) return send(response, text(413, "no bodies are taken here"), { connection: "close" })
      const route = table.get((request.url ?? "").split("?", 1)[0] ?? "")
      if (route === undefined) return send(response, text(404, "not found"))
      if (request.method !== "GET" && request.method !== "HEAD") {
        return send(response, text(405, "only GET and HEAD"), { allow: "GET, HEAD" })
      }
      const answer = Effect.timeoutOrElse(route, {
        duration: ANSWER_TIMEOUT_MS,
        orElse: () => Effect.succeed(text(503, "no answer in time"))
      })
      run(answer).addObserver((exit) => send(response, Exit.isSuccess(exit) ? exit.value : text(500, "this failed")))
    }
  )
  server.maxHeadersCount = HEADERS_MAX
  server.maxConnections = CONNECTIONS_MAX
  yield* Effect.acquireRelease(listen(server, host, port), () => close(server))
  const address = server.address() as AddressInfo
  return { port: address.port, url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}` }
})

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0"

const send = (response: ServerResponse, answer: HttpAnswer, more: Readonly<Record<string, string>> = {}): void => {
  if (response.destroyed) return
  const body = Buffer.from(answer.body)
  response.writeHead(answer.status, {
    "content-type": answer.contentType,
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...more
  })
  response.end(body) // Node leaves it out of answers to HEAD
}

const listen = (server: Server, host: string, port: number): Effect.Effect<void, HttpNotStarted> =>
  Effect.callback((resume) => {
    const fail = ({ code = "unknown" }: NodeJS.ErrnoException) =>
      resume(Effect.fail(new HttpNotStarted({ host, port, code })))
    server.once("error", fail)
    server.listen({ host, port }, () => {
      server.off("error", fail)
      resume(Effect.void)
    })
  })

const close = (server: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeIdleConnections()
  }).pipe(
    Effect.timeoutOrElse({ duration: CLOSE_GRACE_MS, orElse: () => Effect.sync(() => server.closeAllConnections()) })
  )
