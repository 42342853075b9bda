/** Logins and TLS against a real server: right works, wrong is a typed "not now", and no secret is in what we say. */
import { Effect, Redacted, References } from "effect"
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, test } from "vitest"
import { devAuthority, type Certificate } from "../../../src/adapters/dev-certificates/dev-certificates.ts"
import { natsBus } from "../../../src/adapters/nats/bus.layer.ts"
import { NATS_DEFAULTS, type NatsSettings } from "../../../src/adapters/nats/nats-settings.ts"
import { Bus, BusUnavailable } from "../../../src/messaging/bus.port.ts"
import { NatsServer } from "../../support/nats-server.ts"

const SECRET = "correct-horse-battery"

describe("logging in to NATS", () => {
  let server: NatsServer | undefined
  afterEach(async () => {
    await server?.dispose()
    server = undefined
  })
  const url = () => server?.url ?? ""

  const ping = (settings: NatsSettings) =>
    Effect.flatMap(Bus, (bus) => Effect.result(bus.ping)).pipe(
      Effect.provide(natsBus(settings)),
      Effect.provideService(References.MinimumLogLevel, "None"),
      Effect.runPromise
    )
  const assertPings = async (settings: NatsSettings) => assert.equal((await ping(settings))._tag, "Success")
  const assertRefused = async (settings: NatsSettings) => {
    const result = await ping(settings)
    assert(result._tag === "Failure" && result.failure instanceof BusUnavailable)
    assert(!JSON.stringify(result.failure).includes(SECRET))
    assert(!String(result.failure.cause).includes(SECRET))
  }

  test("works with the right password and not with another", async () => {
    server = await NatsServer.start(["--user", "gateway", "--pass", SECRET])
    const as = (password: string): NatsSettings => ({
      ...NATS_DEFAULTS,
      servers: [url()],
      credentials: { type: "password", user: "gateway", password: Redacted.make(password) }
    })
    await assertPings(as(SECRET))
    await assertRefused(as(`${SECRET}!`))
    await assertRefused({ ...NATS_DEFAULTS, servers: [url()] })
  })

  test("works with the right token and not with another", async () => {
    server = await NatsServer.start(["--auth", SECRET])
    const as = (token: string): NatsSettings => ({
      ...NATS_DEFAULTS,
      servers: [url()],
      credentials: { type: "token", token: Redacted.make(token) }
    })
    await assertPings(as(SECRET))
    await assertRefused(as(`${SECRET}!`))
  })

  test("works over TLS with a client certificate, and not without, nor with a stranger's", async () => {
    const ours = devAuthority(Date.now())
    const strangers = devAuthority(Date.now())
    const folder = await mkdtemp(join(tmpdir(), "portcullis-nats-tls-"))
    const [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map((name) => join(folder, name)) as [string, string, string]
    const { certificate, privateKey } = ours.server(["127.0.0.1", "localhost"])
    await Promise.all([writeFile(cert, certificate), writeFile(key, privateKey), writeFile(ca, ours.authority)])
    server = await NatsServer.start(["--tlsverify", "--tlscert", cert, "--tlskey", key, "--tlscacert", ca])
    await rm(folder, { recursive: true })

    const withTls = (tls: NonNullable<NatsSettings["tls"]>): NatsSettings => ({ ...NATS_DEFAULTS, servers: [url()], tls })
    const presenting = (client: Certificate) => ({
      ca: ours.authority,
      cert: client.certificate,
      key: Redacted.make(client.privateKey)
    })
    await assertPings(withTls(presenting(ours.client("gateway"))))
    await assertRefused(withTls({ ca: ours.authority }))
    await assertRefused(withTls(presenting(strangers.client("gateway"))))
    await assertRefused(withTls({ ...presenting(ours.client("gateway")), ca: strangers.authority }))
  })

  test("never shows a secret when settings are printed", () => {
    const settings: NatsSettings = {
      ...NATS_DEFAULTS,
      servers: ["nats://127.0.0.1:1"],
      credentials: { type: "token", token: Redacted.make(SECRET) },
      tls: { key: Redacted.make(SECRET) }
    }
    assert(!JSON.stringify(settings).includes(SECRET))
    assert(!String(settings.tls?.key).includes(SECRET))
  })
})
