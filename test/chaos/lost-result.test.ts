/** A result that was kept, and whose outcome was told by the bus, when the database that had kept it was replaced by one that had not. */
import { expect, test } from "vitest"
import { check } from "../../bin/verify/check.ts"
import { USUAL_SHAPE } from "../../chaos/rig.ts"
import type { DatabaseCopy } from "../../chaos/simulator/ledger/memory-database.ts"
import { startSimRig } from "../../chaos/simulator/sim-rig.ts"

const SETTLE_MS = 240_000

test("a result that a failover took with it, after its outcome was told, is made again (stale-standby-promoted, seed 26807)", async () => {
  const rig = await startSimRig({ shape: { ...USUAL_SHAPE, gateways: 1 }, seed: 1, requestsMax: 1 })
  const { world } = rig
  let before: DatabaseCopy | undefined
  let isPromoted = false
  world.onMoment = (_node, moment, _service, what) => {
    if (moment !== "before") return
    if (what === "keep-results") before ??= world.database.copy()
    // The outcome is on the bus, which forgets nothing; nobody has decided on it yet.
    if (what !== "save" || before === undefined || isPromoted) return
    isPromoted = true
    world.database.promote(before)
  }
  await rig.pass(3_000)
  await rig.raise(1)
  const { open, ended } = await rig.settle(SETTLE_MS)
  expect(isPromoted).toBe(true)
  expect(open).toEqual([])
  expect(ended.finalized).toBe(1)
  expect(rig.events().map(({ text }) => text).filter((text) => text.includes("result is gone"))).toHaveLength(1)
  expect(check(await rig.records()).violations).toEqual([])
})
