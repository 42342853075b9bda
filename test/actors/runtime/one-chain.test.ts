/** A gateway of one chain on the database of another: it would ask its own chain about the other's requests. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import { serveChain } from "../../../actors/runtime/one-chain.ts"
import { heardTelemetry } from "../support/heard-telemetry.ts"
import { openMemoryLedgerWorld } from "../../support/memory-ledger-world.ts"

test("gateways of the chain that came first start, as often as they like, and those of another say what to do", async () => {
  const world = await openMemoryLedgerWorld()
  const { layer } = heardTelemetry()
  await world.run(Effect.andThen(serveChain(1n), serveChain(1n)).pipe(Effect.provide(layer)))
  const refused = await world.run(Effect.flip(serveChain(10n)).pipe(Effect.provide(layer)))
  expect(refused).toMatchObject({ _tag: "ServesAnotherChain", served: "1", wanted: "10", fate: "halt" })
  expect(String(refused)).toContain("give each chain a database and a NATS account of its own")
  await world.close()
})
