/** The scenario in which PostgreSQL goes back in time holds; and it falls when nobody compares how far the database had come. */
import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { runCampaign, type Verdict } from "../../chaos/campaign.ts"
import { checkRecords } from "../../chaos/checks.ts"
import { USUAL_SHAPE } from "../../chaos/rig.ts"
import type { Scenario } from "../../chaos/scenario.ts"
import { snapshotRestored } from "../../chaos/scenarios/snapshot-restored.scenario.ts"
import { startSimRig } from "../../chaos/simulator/sim-rig.ts"
import type { Mutation } from "../../chaos/simulator/surroundings.ts"
import { Timeline } from "../../src/ledger/timeline.port.ts"

/** Smaller than by hand: this runs in every build. */
const shape = { ...USUAL_SHAPE, gateways: 2, kmsNodes: 3, threshold: 2, natsServers: 1, rpcEndpoints: 1 }
const scenario: Scenario = { ...snapshotRestored, shape, load: { type: "steady", perSecond: 1 } }

const runWith = async (seed: number, mutation?: Mutation): Promise<Verdict> => {
  const rig = await startSimRig({ shape, seed, requestsMax: 1_000, ...(mutation === undefined ? {} : { mutation }) })
  return runCampaign(rig, { scenario, seed, spanMs: scenario.roundMs, check: checkRecords })
}

test("what was sent in commits that are gone is not sent again, and everything ends", async () => {
  expect(await runWith(1)).toMatchObject({ ok: true, violations: [], injected: { "restore-snapshot": 2 } })
})

/** As if the write-ahead log always ended beyond everything that anybody remembers. */
const nobodyCompares: Mutation = (services) =>
  Layer.effect(
    Timeline,
    Effect.map(Timeline, (real) => ({
      ...real,
      look: Effect.map(real.look, (seen) => {
        const position = Number.MAX_SAFE_INTEGER
        return { ...seen, standing: { ...seen.standing, position, beganAt: position } }
      })
    }))
  ).pipe(Layer.provideMerge(services))

test("without the comparison of positions it falls: nodes were asked, and the ledger knows nothing of it", async () => {
  const { violations } = await runWith(1, nobodyCompares)
  expect(violations.join("\n")).toMatch(/^C4/m)
})
