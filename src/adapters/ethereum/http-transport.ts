/**
 * How JSON-RPC travels: one POST over HTTP(S), with a deadline for the whole exchange and a bound on what may come back. ethers'
 * own transport only limits how long a socket may be silent: it lets an endpoint that drips bytes go on for ever, keeps the
 * socket of one that hangs, and takes an answer of any size.
 */
import { once } from "node:events"
import * as http from "node:http"
import * as https from "node:https"
import { type FetchGetUrlFunc, type FetchRequest, makeError } from "ethers"

/** The receipts of a full block are a few megabytes. */
const BODY_BYTES_MAX = 64 * 1024 * 1024

export const postWithin = (responseMsMax: number, bodyBytesMax = BODY_BYTES_MAX): FetchGetUrlFunc => {
  return async (question) => {
    const signal = AbortSignal.timeout(responseMsMax)
    try {
      return await post(question, signal, bodyBytesMax)
    } catch (cause) {
      throw signal.aborted ? makeError(`no whole answer within ${responseMsMax} ms`, "TIMEOUT") : cause
    }
  }
}

const post = async (question: FetchRequest, signal: AbortSignal, bodyBytesMax: number): ReturnType<FetchGetUrlFunc> => {
  const { url, method, headers, body } = question
  const { request: open } = url.startsWith("https:") ? https : http
  const request = open(url, { method, headers: { ...headers, "content-length": body?.length ?? 0 }, signal })
  // `once` listens for the errors that come before the answer; those after it come out of the answer itself.
  request.on("error", () => undefined)
  const answered = once(request, "response") as Promise<[http.IncomingMessage]>
  request.end(body)
  const answer = await answered.catch((cause: unknown) => {
    // A kept socket that the other side had just closed: nothing was heard, so the question is asked once more on a new one (Node's docs).
    if (request.reusedSocket && (cause as { readonly code?: unknown }).code === "ECONNRESET") return undefined
    throw cause
  })
  if (answer === undefined) return post(question, signal, bodyBytesMax)
  const [response] = answer
  const chunks: Array<Buffer> = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Leaving the loop destroys the socket.
    if (bytes > bodyBytesMax) throw makeError(`an answer of more than ${bodyBytesMax} bytes`, "BAD_DATA", { value: undefined })
    chunks.push(chunk)
  }
  return {
    statusCode: response.statusCode ?? 0,
    statusMessage: response.statusMessage ?? "",
    headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
    body: Buffer.concat(chunks)
  }
}
