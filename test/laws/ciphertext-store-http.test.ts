/** The HTTP store keeps the laws against a real server, and its own promises about redirects, slow bodies and broken ones. */
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Layer, Result, Stream } from "effect"
import { expect, test } from "vitest"
import { ciphertextStoreLayer, faultOfStore } from "../../src/adapters/object-store/ciphertext-store.layer.ts"
import { CiphertextStore } from "../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { CALL_POLICIES } from "../../src/resilience/call-policy.ts"
import { eventually } from "../support/eventually.ts"
import { ciphertextStoreLaws, fetchFrom, readAll, recordOf, tagOf, WRONG_BYTES } from "./ciphertext-store.laws.ts"

const serve = async (
  listener: RequestListener
): Promise<{ readonly server: Server; readonly url: string; readonly close: () => Promise<void> }> => {
  const server = createServer(listener)
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
  }
}

const mainAt = (baseUrl: string, httpTimeoutMs?: number) =>
  ciphertextStoreLayer([{ name: "main", kind: "http", baseUrl }], httpTimeoutMs === undefined ? {} : { httpTimeoutMs })

ciphertextStoreLaws("an HTTP store", async () => {
  const objects = new Map<string, Uint8Array>()
  const { url, close } = await serve(async (request, response) => {
    const key = request.url!.slice("/bucket/".length)
    if (request.method === "PUT") {
      const chunks: Array<Uint8Array> = []
      for await (const chunk of request) chunks.push(chunk as Uint8Array)
      objects.set(key, new Uint8Array(Buffer.concat(chunks)))
      response.writeHead(201).end()
      return
    }
    const bytes = objects.get(key)
    if (bytes === undefined) response.writeHead(404).end("no such object")
    else response.writeHead(200, { "content-length": bytes.length }).end(bytes)
  })
  let isClosed = false
  const closeOnce = async () => {
    if (!isClosed) await close()
    isClosed = true
  }
  return {
    layer: mainAt(`${url}/bucket/`),
    plant: async (key, bytes) => void objects.set(key, bytes),
    breakDown: closeOnce,
    close: closeOnce
  }
})

test.each([301, 302, 303, 307, 308])("a redirect (%i) is not followed: its target is not asked", async (status) => {
  const asked: Array<string> = []
  const target = await serve((request, response) => {
    asked.push(request.url!)
    response.end("internal")
  })
  const store = await serve((_request, response) =>
    response.writeHead(status, { location: `${target.url}/latest/meta-data` }).end()
  )
  expect(tagOf(await readAll(mainAt(store.url), "store://main/x"))).toBe("StoreUnavailable")
  expect(asked).toEqual([])
  await Promise.all([store.close(), target.close()])
})

test.each([
  [400, "StoreUnavailable"],
  [401, "StoreUnavailable"],
  [403, "StoreUnavailable"],
  [404, "ObjectMissing"],
  [410, "ObjectMissing"],
  [206, "StoreUnavailable"],
  [500, "StoreUnavailable"],
  [503, "StoreUnavailable"]
])("status %i means %s", async (status, tag) => {
  const store = await serve((_request, response) => response.writeHead(status).end("whatever"))
  expect(tagOf(await readAll(mainAt(store.url), "store://main/x"))).toBe(tag)
  await store.close()
})

test("a server that never answers costs the time limit and no more", async () => {
  const store = await serve(() => {})
  const from = performance.now()
  expect(tagOf(await readAll(mainAt(store.url, 200), "store://main/x"))).toBe("StoreUnavailable")
  expect(performance.now() - from).toBeLessThan(5_000)
  await store.close()
})

test("a body that trickles costs the time limit and no more", async () => {
  const timers = new Set<NodeJS.Timeout>()
  const store = await serve((_request, response) => {
    response.writeHead(200)
    timers.add(setInterval(() => response.write("x"), 20))
  })
  expect(tagOf(await readAll(mainAt(store.url, 300), "store://main/x"))).toBe("StoreUnavailable")
  for (const timer of timers) clearInterval(timer)
  await store.close()
})

test("a body that breaks off is unavailable, not short", async () => {
  const store = await serve((_request, response) => {
    response.writeHead(200, { "content-length": 1_000 })
    response.write("half", () => response.destroy())
  })
  expect(tagOf(await readAll(mainAt(store.url), "store://main/x"))).toBe("StoreUnavailable")
  await store.close()
})

test("an endless body is left as soon as it is longer than the registration says", async () => {
  let sentBytes = 0
  let isLeft = false
  const store = await serve((_request, response) => {
    const chunk = new Uint8Array(64 * 1024)
    const more = () => {
      while (response.writable && response.write(chunk)) sentBytes += chunk.length
    }
    response.on("drain", more)
    response.on("close", () => (isLeft = true))
    more()
  })
  const fetched = await fetchFrom(mainAt(store.url), recordOf(new Uint8Array(400), "store://main/x"))
  expect(fetched).toMatchObject({ type: "later", reason: WRONG_BYTES })
  await eventually("the connection is closed", () => isLeft)
  expect(sentBytes).toBeLessThan(16 * 1024 * 1024)
  await store.close()
})

test("a compressed body is not unpacked into more than was announced", async () => {
  const headers: Array<string | undefined> = []
  const store = await serve((request, response) => {
    headers.push(request.headers["accept-encoding"])
    response.end("x")
  })
  expect(tagOf(await readAll(mainAt(store.url), "store://main/x"))).toBe("read")
  expect(headers).toEqual(["identity"])
  await store.close()
})

test("the key is asked below the base URL, with or without a slash at its end", async () => {
  const asked: Array<string> = []
  const store = await serve((request, response) => {
    asked.push(request.url!)
    response.end("x")
  })
  await readAll(mainAt(`${store.url}/base`), "store://main/a/b")
  await readAll(mainAt(`${store.url}/base/`), "store://main/a/b")
  expect(asked).toEqual(["/base/a/b", "/base/a/b"])
  await store.close()
})

test("a store that cannot be meant is named before it is used", () => {
  expect(faultOfStore({ name: "main", kind: "http", baseUrl: "https://store.example.org/bucket" })).toBeUndefined()
  expect(faultOfStore({ name: "Main", kind: "directory", path: "/x" })).toContain("no store name")
  expect(faultOfStore({ name: "main", kind: "directory", path: "" })).toContain("no path")
  for (const baseUrl of ["ftp://x", "nonsense", "https://user:secret@x/", "https://x/?a=b", "https://x/#y"]) {
    const fault = faultOfStore({ name: "main", kind: "http", baseUrl })
    expect(fault).toContain("its base URL")
    expect(fault).not.toContain("secret")
  }
})

test("a store that hangs is left alone after some readings, holds only its own places, and another store is read all the while", async () => {
  let [asked, at, most] = [0, 0, 0]
  const deaf = await serve((_request, response) => {
    asked += 1
    most = Math.max(most, (at += 1))
    response.on("close", () => (at -= 1))
  })
  const well = await serve((_request, response) => response.end("x"))
  const layer = Layer.fresh(
    ciphertextStoreLayer(
      [
        { name: "deaf", kind: "http", baseUrl: deaf.url },
        { name: "well", kind: "http", baseUrl: well.url }
      ],
      { httpTimeoutMs: 300 }
    )
  )
  await Effect.runPromise(
    Effect.gen(function* () {
      const store = yield* CiphertextStore
      const read = (name: string) => Effect.result(Stream.runDrain(store.read(`store://${name}/x`)))
      yield* Effect.all(Array.from({ length: 50 }, () => read("deaf")), { concurrency: "unbounded" })
      expect(most).toBeLessThanOrEqual(CALL_POLICIES["object-store"].concurrencyMax)
      const before = asked
      const from = performance.now()
      const refused = yield* read("deaf")
      expect(performance.now() - from).toBeLessThan(250)
      expect(asked).toBe(before)
      expect(Result.isFailure(refused) && refused.failure).toMatchObject({ _tag: "StoreUnavailable", cause: { _tag: "CallRefused" } })
      expect(Result.isSuccess(yield* read("well"))).toBe(true)
    }).pipe(Effect.provide(layer))
  )
  await Promise.all([deaf.close(), well.close()])
})
