/** When the listener waits. What it does not read stays on the chain, which keeps it better than we could: nothing is lost by waiting, and a ledger
 * that only grows helps nobody. The bounds are wide, because whoever is not detected has no turn either (docs/adr/0022). */
import { Duration, Effect } from "effect"
import { RequestLedger, type Workload } from "../../src/ledger/request-ledger.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

/** Beyond the first it waits until all are below the second: otherwise it would start and stop with every block. */
export const HOLD: Workload = {
  // Each takes about 4 KiB of the database until it has ended, and the sweeper looks at all of them.
  underWay: 250_000,
  // A statement goes over all of them twice in a second.
  owed: 50_000,
  // Given out so late, work is older than most deadlines.
  oldestOwedMs: 600_000
}
export const GO_ON: Workload = { underWay: 200_000, owed: 25_000, oldestOwedMs: 300_000 }
/** Younger messages are on their way. Older ones mean that coordinators give out what they can, in turn: then nobody else gives out anything. */
const BEHIND_MS = 1_000
const LOOK_MS = 1_000

export const mustWait = (isWaiting: boolean, load: Workload): boolean => {
  const bound = isWaiting ? GO_ON : HOLD
  return load.underWay >= bound.underWay || load.owed >= bound.owed || load.oldestOwedMs >= bound.oldestOwedMs
}

/** Ends when blocks may be read; answers whether work waits for its turn. */
export const untilThereIsRoom = Effect.gen(function* () {
  const telemetry = yield* Telemetry
  const ledger = yield* RequestLedger
  const look = ledger.workload(HOLD.underWay)
  let load = yield* look
  let isWaiting = mustWait(false, load)
  if (isWaiting) telemetry.warn("the listener waits: too much is under way", { ...load, runbook: "docs/runbooks/detected.md" })
  while (isWaiting) {
    telemetry.gauge("listener_held", 1)
    yield* Effect.sleep(Duration.millis(LOOK_MS))
    load = yield* look
    isWaiting = mustWait(true, load)
    if (!isWaiting) telemetry.info("the listener goes on", { ...load })
  }
  telemetry.gauge("listener_held", 0)
  return load.oldestOwedMs >= BEHIND_MS
})
