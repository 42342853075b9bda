/** A short campaign of chaos on real processes: three gateways, three NATS servers, PostgreSQL, a chain, KMS nodes. Held to C1 to C7. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Records } from "../../bin/verify/records.ts"
import { runCampaign } from "../../chaos/campaign.ts"
import { checkRecords } from "../../chaos/checks.ts"
import { startProcessRig } from "../../chaos/process/process-rig.ts"
import { columnsOf, eventLine } from "../../chaos/report.ts"
import { USUAL_SHAPE, type Rig } from "../../chaos/rig.ts"
import { badDay } from "../../chaos/scenarios/bad-day.scenario.ts"

const SEED = 1
const REQUESTS = 60

describe("a cluster of three gateways on a bad day", () => {
  const shape = { ...USUAL_SHAPE, kmsNodes: 3, threshold: 2 }
  let rig: Rig<Records>
  beforeAll(async () => {
    rig = await startProcessRig({ shape, seed: SEED, requestsMax: REQUESTS })
  })
  afterAll(() => rig?.stop())

  test("loses nothing, doubles nothing and leaks nothing", async () => {
    const verdict = await runCampaign(rig, { scenario: badDay, seed: SEED, spanMs: badDay.roundMs, check: checkRecords })
    const log = rig.events().map((event) => eventLine(columnsOf(shape), event))
    expect(verdict.violations, log.join("\n")).toEqual([])
    expect(verdict).toMatchObject({ ok: true, requests: REQUESTS, ended: { finalized: REQUESTS } })
    expect(Object.keys(verdict.injected).toSorted()).toEqual([...new Set(badDay.round.map(({ verb }) => verb))].toSorted())
    expect(Object.values(verdict.checks)).toEqual(Array.from({ length: 8 }, () => "held"))
  })
})
