/** A database whose connections have silently died: calls end in time, then fail at once, and all is well again soon. */
import { Effect, ManagedRuntime, Result } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Database, databaseLayer, type Prepared } from "../../../src/adapters/postgres/pool.ts"
import type { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import { CallRefused } from "../../../src/resilience/guards.ts"
import { eventually } from "../../support/eventually.ts"
import { type LedgerWorld, openLedgerWorld } from "../../support/ledger-world.ts"
import { type MuteProxy, startMuteProxy } from "../../support/mute-proxy.ts"

const WAIT_MS = 400
const ONE: Prepared = { name: "one", text: "SELECT 1 AS one" }
const VITAL: Prepared = { name: "vital", text: "SELECT 2 AS two", isVital: true }

let world: LedgerWorld
let proxy: MuteProxy
let runtime: ManagedRuntime.ManagedRuntime<Database, never>
beforeAll(async () => {
  world = await openLedgerWorld()
  proxy = await startMuteProxy(`${world.server.address.host}/.s.PGSQL.${world.server.address.port}`)
  const connection = { ...world.server.address, host: "127.0.0.1", port: proxy.port }
  runtime = ManagedRuntime.make(databaseLayer({ connection, applicationName: "silent", connectionsMax: 4, waitMsMax: WAIT_MS }))
}, 60_000)
afterAll(async () => {
  await runtime.dispose()
  await proxy.close()
  await world.close()
})

const ask = (statement: Prepared): Promise<Result.Result<unknown, LedgerUnavailable>> =>
  runtime.runPromise(Effect.flatMap(Database, (database) => Effect.result(database.run("ask", statement, []))))
const many = (count: number) => Promise.all(Array.from({ length: count }, () => ask(ONE)))
const isRefused = (answer: Result.Result<unknown, LedgerUnavailable>) =>
  Result.isFailure(answer) && answer.failure.cause instanceof CallRefused

test("dead connections cost their time limit once; then calls fail at once, vital ones are sent, and it heals soon", async () => {
  expect((await many(4)).every(Result.isSuccess)).toBe(true)
  proxy.mute()
  const from = performance.now()
  expect((await many(10)).some(Result.isSuccess)).toBe(false)
  expect(performance.now() - from).toBeLessThan(6 * WAIT_MS)

  await eventually("calls are not sent any more", async () => isRefused(await ask(ONE)))
  const refused = performance.now()
  await eventually("a refusal costs no time", async () => {
    const at = performance.now()
    return isRefused(await ask(ONE)) && performance.now() - at < WAIT_MS / 4
  })
  expect(performance.now() - refused).toBeLessThan(20 * WAIT_MS)

  const before = proxy.connections()
  const vital = await ask(VITAL)
  expect(isRefused(vital)).toBe(false)
  expect(proxy.connections()).toBeGreaterThan(before)

  proxy.speak()
  const healed = performance.now()
  await eventually("statements are answered again", async () => Result.isSuccess(await ask(ONE)))
  await eventually("all of them", async () => (await many(4)).every(Result.isSuccess))
  expect(performance.now() - healed).toBeLessThan(2_500)
})
