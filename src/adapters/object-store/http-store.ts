/**
 * A store behind HTTP: `GET` and `PUT` of `<base URL>/<key>`. Only the base URL that the operator named is ever asked: a
 * redirect is a failure, because its target is somebody else's choice (a metadata service, an internal host).
 */
import { Effect, Stream } from "effect"
import { ObjectMissing, StoreUnavailable } from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { keyOf, locationOf } from "./location.ts"
import type { ObjectStore } from "./object-store.ts"

/** The answer was not 200. Its body is not read. */
class UnexpectedStatus extends TypeError {
  constructor(status: number) {
    super(status >= 300 && status < 400 ? `status ${status}: redirects are not followed` : `status ${status}`)
  }
}

/** `timeoutMs` bounds a whole request, its body included: a body that trickles cannot hold a step for longer. */
export const httpStore = (name: string, baseUrl: string, timeoutMs: number): ObjectStore => {
  const urlOf = (key: string): string => `${baseUrl.replace(/\/+$/, "")}/${key}`
  const request = (location: string, key: string, init: RequestInit) =>
    Effect.tryPromise({
      try: (interrupted) =>
        fetch(urlOf(key), {
          ...init,
          redirect: "manual",
          signal: AbortSignal.any([interrupted, AbortSignal.timeout(timeoutMs)])
        }),
      catch: (cause) => new StoreUnavailable({ location, cause })
    })
  const discard = (response: Response) => Effect.promise(() => (response.body?.cancel() ?? Promise.resolve()).catch(() => {}))

  return {
    read: (location, key) =>
      Stream.unwrap(
        Effect.gen(function* () {
          // Compressed bodies would be unpacked on arrival: a small answer could become a large one.
          const response = yield* request(location, key, { method: "GET", headers: { "accept-encoding": "identity" } })
          if (response.status === 200) return bodyOf(response, location)
          yield* discard(response)
          return yield* response.status === 404 || response.status === 410
            ? new ObjectMissing({ location })
            : new StoreUnavailable({ location, cause: new UnexpectedStatus(response.status) })
        })
      ),
    write: (digest, bytes) =>
      Effect.gen(function* () {
        const location = locationOf(name, digest)
        const headers = { "content-type": "application/octet-stream" }
        const response = yield* request(location, keyOf(digest), { method: "PUT", headers, body: new Uint8Array(bytes) })
        yield* discard(response)
        if (!response.ok) return yield* new StoreUnavailable({ location, cause: new UnexpectedStatus(response.status) })
      })
  }
}

/** Read as it is asked for; whoever stops asking closes the connection. A body that breaks off is a failure, not an end. */
const bodyOf = ({ body }: Response, location: string): Stream.Stream<Uint8Array, StoreUnavailable> =>
  body === null
    ? Stream.empty
    : Stream.fromReadableStream({
        evaluate: () => body as ReadableStream<Uint8Array>,
        onError: (cause) => new StoreUnavailable({ location, cause })
      })
