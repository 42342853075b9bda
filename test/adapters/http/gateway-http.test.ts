import { Effect, Exit, Layer, Scope } from "effect"
import assert from "node:assert/strict"
import { request as httpRequest } from "node:http"
import { connect } from "node:net"
import { afterEach, describe, test } from "vitest"
import { serveGatewayHttp } from "../../../src/adapters/http/gateway-http.ts"
import { type HealthCheck, type HealthChecks, kmsFinding, upWhenAnswered } from "../../../src/adapters/http/health.ts"
import { telemetryLayer } from "../../../src/adapters/prometheus/telemetry.layer.ts"
import { makeGuards, type Resilience } from "../../../src/resilience/guards.ts"
import { MetricsPage } from "../../../src/telemetry/metrics-page.port.ts"
import { Telemetry } from "../../../src/telemetry/telemetry.port.ts"
import { eventually } from "../../support/eventually.ts"
import { readPrometheus, valueOf } from "../../telemetry/prometheus-text.ts"

const up: HealthCheck = Effect.succeed({ status: "up", detail: "answers" })
const ALL_UP: HealthChecks = { kms: up, database: up, blockchain: up, nats: up }
const BOUNDS = { timeoutMs: 150, keptMs: 60 }

const scopes: Array<Scope.Closeable> = []
const closeAll = () => Promise.all(scopes.splice(0).map((scope) => Effect.runPromise(Scope.close(scope, Exit.void))))
afterEach(closeAll)

interface Served {
  readonly url: string
  readonly telemetry: Telemetry["Service"]
}

interface More {
  readonly resilience?: Effect.Effect<Resilience>
  readonly isTakingWork?: Effect.Effect<boolean>
  readonly keptMs?: number
}

const serve = (checks: Partial<HealthChecks> = {}, more: More = {}) => {
  const scope = Scope.makeUnsafe()
  scopes.push(scope)
  const telemetry = telemetryLayer({ level: "silent", worker: "gateway-1", to: { write: () => {} }, processMetrics: true })
  return Effect.runPromise(
    Effect.gen(function* () {
      const context = yield* Layer.build(telemetry)
      const { url } = yield* serveGatewayHttp({
        port: 0,
        metrics: yield* MetricsPage.pipe(Effect.provideContext(context)),
        checks: { ...ALL_UP, ...checks },
        bounds: { ...BOUNDS, keptMs: more.keptMs ?? BOUNDS.keptMs },
        ...(more.resilience === undefined ? {} : { resilience: more.resilience }),
        ...(more.isTakingWork === undefined ? {} : { isTakingWork: more.isTakingWork })
      })
      return { url, telemetry: yield* Telemetry.pipe(Effect.provideContext(context)) } satisfies Served
    }).pipe(Scope.provide(scope))
  )
}

interface HealthJson {
  readonly overall: string
  readonly [part: string]: string | { readonly status: string; readonly detail: string; readonly latencyMs: number }
}

const health = async (url: string) => {
  const response = await fetch(`${url}/health`)
  const body = (await response.json()) as HealthJson
  const part = (name: string) => body[name] as { readonly status: string; readonly detail: string; readonly latencyMs: number }
  return { status: response.status, body, part }
}

describe("/metrics", () => {
  test("is text that Prometheus reads, with our metrics and those of the process", async () => {
    const { url, telemetry } = await serve()
    telemetry.count("reorgs", 2)
    telemetry.step("detected", "acl-checked", 0.01)
    const response = await fetch(`${url}/metrics`)
    assert.equal(response.status, 200)
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/)
    const families = readPrometheus(await response.text())
    assert.equal(valueOf(families, "gateway_reorgs_total"), 2)
    assert.equal(valueOf(families, "gateway_step_duration_seconds_count", { step: "detected" }), 1)
    assert.ok(families.has("process_resident_memory_bytes"))
    assert.ok(families.has("nodejs_eventloop_lag_p99_seconds"))
  })
})

describe("/health", () => {
  test("names every part with its latency, and 200 when all are up", async () => {
    const { url } = await serve()
    const { status, body, part } = await health(url)
    assert.equal(status, 200)
    assert.deepEqual(Object.keys(body), ["kms", "database", "blockchain", "nats", "overall"])
    assert.equal(body.overall, "up")
    for (const name of ["kms", "database", "blockchain", "nats"]) {
      assert.equal(part(name).status, "up")
      assert.ok(Number.isFinite(part(name).latencyMs) && part(name).latencyMs >= 0)
    }
  })

  test("is degraded and still 200 when fewer than all but at least k nodes answer", async () => {
    const { url } = await serve({ kms: Effect.succeed(kmsFinding({ answering: 2, nodes: 3, threshold: 2 })) })
    const { status, body, part } = await health(url)
    assert.deepEqual([status, body.overall, part("kms").status], [200, "degraded", "degraded"])
    assert.equal(part("kms").detail, "2 of 3 nodes answer, 2 are needed")
  })

  test("is down and 503 when fewer than k nodes answer", async () => {
    const { url } = await serve({ kms: Effect.succeed(kmsFinding({ answering: 1, nodes: 3, threshold: 2 })) })
    const { status, body } = await health(url)
    assert.deepEqual([status, body.overall], [503, "down"])
  })

  test("says the tag of a failure and nothing else of it", async () => {
    const failing = Effect.fail({ _tag: "LedgerUnavailable", cause: "password s3cret wrong for postgres://u:s3cret@db" })
    const { url } = await serve({ database: failing, nats: Effect.die(new Error("s3cret")) })
    const { body, part } = await health(url)
    assert.equal(part("database").detail, "LedgerUnavailable")
    assert.equal(part("nats").detail, "the check itself failed")
    assert.ok(!JSON.stringify(body).includes("s3cret"))
  })

  test("does not wait for a check that hangs, and asks no second time while the first hangs on", async () => {
    let asked = 0
    const hangs = Effect.suspend(() => {
      asked++
      return Effect.uninterruptible(Effect.never)
    })
    const { url } = await serve({ blockchain: hangs })
    const startedMs = performance.now()
    const { status, part } = await health(url)
    assert.ok(performance.now() - startedMs < 2_000)
    assert.deepEqual([status, part("blockchain").status], [503, "down"])
    assert.equal(part("blockchain").detail, "no answer within 150 ms")
    assert.equal(part("database").status, "up")
    await eventually("a later look", async () => (await health(url)).part("blockchain").latencyMs > 200)
    assert.equal(asked, 1)
  })

  test("sees a part come back after it hung", async () => {
    let isWell = false
    const { url } = await serve({ nats: Effect.suspend(() => (isWell ? up : Effect.never)) })
    assert.equal((await health(url)).part("nats").status, "down")
    isWell = true
    await eventually("nats is up again", async () => (await health(url)).part("nats").status === "up")
  })

  test("costs a dependency one question however many ask", async () => {
    let asked = 0
    const counts = Effect.sync(() => {
      asked++
    }).pipe(Effect.andThen(Effect.sleep(20)))
    const { url } = await serve({ database: upWhenAnswered(counts) }, { keptMs: 60_000 })
    const all = await Promise.all(Array.from({ length: 30 }, () => health(url)))
    assert.ok([...all, await health(url)].every(({ status }) => status === 200))
    assert.equal(asked, 1)
  })

  test("asks again when its answer has become old", async () => {
    let asked = 0
    const { url } = await serve({ database: Effect.suspend(() => (asked++, up)) })
    await eventually("a third question", async () => (await health(url)).status === 200 && asked >= 3)
  })

  test("waits for a check that is merely slow", async () => {
    const { url } = await serve({ database: Effect.delay(up, 50) })
    const { part } = await health(url)
    assert.equal(part("database").status, "up")
    assert.ok(part("database").latencyMs >= 45)
  })
})

describe("probes", () => {
  test("the gateway lives whatever its parts say", async () => {
    const { url } = await serve({ database: Effect.never })
    const response = await fetch(`${url}/health/live`)
    assert.deepEqual([response.status, await response.json()], [200, { status: "up" }])
  })

  test("the gateway is ready when no part is down", async () => {
    const { url } = await serve({ kms: Effect.succeed({ status: "degraded", detail: "" }) })
    assert.equal((await fetch(`${url}/health/ready`)).status, 200)
  })

  test("the gateway is not ready when a part is down", async () => {
    const { url } = await serve({ database: Effect.fail({ _tag: "LedgerUnavailable" }) })
    assert.equal((await fetch(`${url}/health/ready`)).status, 503)
  })

  test("the gateway is not ready while it takes no work, though all is well", async () => {
    const { url } = await serve({}, { isTakingWork: Effect.succeed(false) })
    const response = await fetch(`${url}/health/ready`)
    assert.deepEqual([response.status, await response.json()], [503, { status: "down", takesWork: false }])
    assert.equal((await health(url)).status, 200)
  })
})

describe("the server", () => {
  const paths = ["/metrics", "/health", "/health/live", "/health/ready"]
  test.each(paths)("answers HEAD %s like GET, without the body", async (path) => {
    const { url } = await serve({}, { keptMs: 60_000 })
    const [get, head] = [await fetch(url + path), await fetch(url + path, { method: "HEAD" })]
    assert.equal(head.status, get.status)
    assert.equal(head.headers.get("content-type"), get.headers.get("content-type"))
    assert.equal(await head.text(), "")
    assert.ok(Number(head.headers.get("content-length")) > 0)
    assert.equal(get.headers.get("cache-control"), "no-store")
  })

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("refuses %s and says what it takes", async (method) => {
    const { url } = await serve()
    const response = await fetch(`${url}/health`, { method })
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD"])
  })

  const strangers = ["/", "/healthy", "/health/", "/metrics/../health", "//health", "/%6detrics", "/__proto__", "/constructor"]
  test.each(strangers)("knows no %s", async (path) => {
    const { url } = await serve()
    assert.equal(await statusOf(`${url}`, path), 404)
  })

  test("ignores a query", async () => {
    const { url } = await serve()
    assert.equal((await fetch(`${url}/health/live?from=probe`)).status, 200)
  })

  test("takes no bodies", async () => {
    const { url } = await serve()
    const response = await fetch(`${url}/health`, { method: "POST", body: "x".repeat(100_000) })
    assert.equal(response.status, 413)
  })

  test("refuses headers that are too large", async () => {
    const { url } = await serve()
    assert.equal((await fetch(`${url}/health`, { headers: { "x-large": "x".repeat(20_000) } })).status, 431)
  })

  test("answers nonsense with 400 and goes on", async () => {
    const { url } = await serve()
    const { port } = new URL(url)
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), "127.0.0.1", () => socket.write("\u0000\u0001 nonsense\r\n\r\n"))
      let heard = ""
      socket.on("data", (data) => (heard += data.toString()))
      socket.on("close", () => resolve(heard))
      socket.on("error", reject)
    })
    assert.match(said, /^HTTP\/1\.1 400 /)
    assert.equal((await fetch(`${url}/health/live`)).status, 200)
  })

  test("listens on this machine only unless told otherwise", async () => {
    const { url } = await serve()
    assert.equal(new URL(url).hostname, "127.0.0.1")
  })

  test("says which address is taken", async () => {
    const { url } = await serve()
    const port = Number(new URL(url).port)
    const metrics = MetricsPage.of({ contentType: "text/plain", text: Effect.succeed("") })
    const failure = await Effect.runPromise(Effect.scoped(serveGatewayHttp({ port, metrics, checks: ALL_UP })).pipe(Effect.flip))
    assert.deepEqual([failure._tag, failure.port, failure.code, failure.fate], ["HttpNotStarted", port, "EADDRINUSE", "halt"])
  })

  test("answers 500 without details when the metrics cannot be made", async () => {
    const scope = Scope.makeUnsafe()
    scopes.push(scope)
    const metrics = MetricsPage.of({ contentType: "text/plain", text: Effect.die(new Error("s3cret")) })
    const { url } = await Effect.runPromise(serveGatewayHttp({ port: 0, metrics, checks: ALL_UP }).pipe(Scope.provide(scope)))
    const response = await fetch(`${url}/metrics`)
    assert.deepEqual([response.status, await response.text()], [500, "this failed\n"])
  })

  test("ends with its scope, even while a check hangs and a client holds its connection", async () => {
    const { url } = await serve({ kms: Effect.uninterruptible(Effect.never) })
    const socket = connect(Number(new URL(url).port), "127.0.0.1")
    const closed = new Promise((resolve) => socket.on("close", resolve))
    socket.on("error", () => {})
    const pending = fetch(`${url}/health`).then(() => "answered", () => "cut")
    await new Promise((resolve) => socket.once("connect", resolve))
    const startedMs = performance.now()
    await closeAll()
    assert.ok(performance.now() - startedMs < 5_000)
    await Promise.all([pending, closed])
    await assert.rejects(fetch(`${url}/health/live`))
  })
})

/** Without the clean-up that fetch does to paths. */
const statusOf = (url: string, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    httpRequest({ hostname, port, path, method: "GET" }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .on("error", reject)
      .end()
  })

test("breakers and budgets can be read, resting or not", async () => {
  const guards = makeGuards()
  const call = { dependency: "kms-node", target: "kms-1:7443", method: "share", isOutage: () => true, unavailable: () => "later" } as const
  for (let count = 0; count < 16; count++) await Effect.runPromise(Effect.exit(guards.guard(call)(Effect.fail("away"))))
  const { url } = await serve({}, { resilience: guards.states })
  const response = await fetch(`${url}/resilience`)
  const { targets, budgets } = (await response.json()) as Resilience
  assert.equal(response.status, 200)
  const [node] = targets
  assert.equal(node?.state, "open")
  assert.deepEqual([node?.dependency, node?.target, node?.method], ["kms-node", "kms-1:7443", "share"])
  assert(node !== undefined && node.opensAgainInMs > 0 && node.opensAgainInMs <= 500)
  assert.deepEqual(node.sinceStart, { attempts: 16, failed: 16, refused: 0 })
  assert.equal(budgets["kms-node"], 10)
})
