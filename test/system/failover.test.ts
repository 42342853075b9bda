/** The primary dies, and a standby that lacks its last commits takes over: nothing has happened twice on the chain, and everything ends. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { LinkProxy } from "../../chaos/process/link-proxy.ts"
import { asked, type Standby, startStandby } from "../../chaos/process/standby.ts"
import { eventually } from "../support/eventually.ts"
import { portcullis } from "../support/cli.ts"
import { JourneyWorld, type RunningGateway } from "../support/journey.ts"

const SETTINGS = { shared_buffers: "64MB", max_connections: "60" }

let folder: string
let scope: Scope.Closeable
let journey: JourneyWorld
let standby: Standby
let address: LinkProxy
let gateway: RunningGateway
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portcullis-failover-"))
  scope = await Effect.runPromise(Scope.make())
  const primaryDirectory = join(folder, "primary")
  journey = await JourneyWorld.start({ postgres: { directory: primaryDirectory, listen: { tcpPort: "free" }, settings: SETTINGS } })
  const primary = journey.world.postgres
  const options = { primary, primaryDirectory, directory: join(folder, "standby"), settings: SETTINGS }
  standby = await Effect.runPromise(startStandby(options).pipe(Scope.provide(scope)))
  address = await LinkProxy.open({ upstream: primary.address })
  gateway = await journey.gateway({ database: { connection: { ...primary.address, port: address.port }, applicationName: "portcullis" } })
})
afterAll(async () => {
  await gateway?.stop()
  await address?.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await journey?.stop()
  await rm(folder, { recursive: true, force: true })
})

interface TimelineRow {
  readonly [column: string]: unknown
  readonly reconciled: string
  readonly epochs: string
}

const timeline = async () => {
  const [row] = await asked<TimelineRow>(
    journey.databaseAddress,
    "SELECT reconciled, (SELECT min(epoch) FROM lease WHERE owner IS NOT NULL)::text AS epochs FROM database_timeline"
  )
  return row!
}

test("what a lost commit had sent is not sent again, what it had heard of is found again, and the checks hold", async () => {
  const before = await journey.publicRequest()
  await journey.reaches(before.id, "finalized")
  expect((await timeline()).reconciled).toMatch(/^\d+\/1$/)

  await standby.caughtUp()
  const known = await journey.publicRequest() // however far the standby hears of it
  await standby.deafen()
  const unheard = await Promise.all([journey.publicRequest(), journey.publicRequest()])
  const late = [known, ...unheard]
  await Promise.all(late.map(({ id }) => journey.reaches(id, "finalized")))
  const pending = await journey.publicRequest() // and however far this comes
  await Effect.runPromise(journey.world.postgres.kill)

  await standby.promote()
  journey.databaseAddress = standby.server.address
  const forgotten = unheard.map(({ id }) => `'\\x${id.slice(2)}'`).join(", ")
  expect(await asked(standby.server.address, `SELECT FROM request WHERE request_id IN (${forgotten})`)).toHaveLength(0)
  address.retarget(standby.server.address)
  const after = await journey.publicRequest()

  await eventually("the chain was asked what was lost", async () => /^\d+\/2$/.test((await timeline()).reconciled), 60_000)
  for (const { id } of [before, ...late, pending, after]) {
    await journey.reaches(id, "finalized")
    expect(await journey.fulfilments(id)).toHaveLength(1)
  }
  const adopted = "SELECT FROM lane_slot WHERE root = decode(repeat('00', 32), 'hex')"
  expect((await asked(standby.server.address, adopted)).length).toBeGreaterThan(0)
  expect(BigInt((await timeline()).epochs)).toBeGreaterThan(2n ** 32n)

  const url = new URL(`postgres://${standby.server.address.user}@127.0.0.1:${standby.server.address.port}/postgres`)
  url.password = standby.server.address.password ?? ""
  await writeFile(join(folder, "database-url"), url.href, { mode: 0o600 })
  const settings = { ...journey.world.environment, PORTCULLIS_DATABASE_URL_FILE: join(folder, "database-url"), PORTCULLIS_RESULT_FINALITY: "latest" }
  const logs = journey.world.committee.nodes.flatMap(({ id }) => ["--kms-log", `${id}=${journey.world.kms.answerLog(id)}`])
  const verified = await portcullis(["verify", ...logs], { settings })
  expect(verified.code, `${verified.output}${verified.errors}`).toBe(0)
  expect(verified.output).toMatch(/^C4 .*when the database failed over/m)
  const status = await portcullis(["cluster", "status"], { settings })
  expect(status.output).toMatch(/^database {3}\d+\/2 {2}since .*compared with the chain in/m)
})
