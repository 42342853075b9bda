/** Forgets what was final long ago: signed bytes after a day, everything else about a nonce after the operator's time. One node at a time, in small
 * portions, so that nothing that sends ever waits for it. */
import { Duration, Effect } from "effect"
import { LEASE_MS } from "../src/domain/limits.ts"
import { ResultContract } from "../src/journey/6-submitted/result-contract.port.ts"
import { laneHistoryLeaseName, LaneLedger, type LaneMemory } from "../src/ledger/lane-ledger.port.ts"
import { type Lease, Leases } from "../src/ledger/lease.port.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { supervise } from "./runtime/supervise.ts"

const DAY_MS = 86_400_000
/** Bytes of what is final are never sent again; a day is for whoever looks into a reorganisation deeper than finality. */
const BYTES_MS = DAY_MS
const HISTORY_DAYS = 30
export const LANE_MEMORY: LaneMemory = { bytesMs: BYTES_MS, historyMs: HISTORY_DAYS * DAY_MS }

/** A full batch each second leaves some six hundred nonces in this time. */
const LOOK_EVERY_MS = 600_000
/** Rows of each kind in one statement: 3,000 rows of 500 nonces took 35 to 90 ms on two busy cores, and hold up a nonce that is taken meanwhile. */
const PORTION = 500
/** Portions in one look: ten times as many as are born meanwhile, so that a pile of old ones melts away. */
const PORTIONS_MAX = 20

export interface LaneHistoryOptions {
  /** This life of this node. */
  readonly owner: string
  readonly memory?: LaneMemory
  readonly everyMs?: number
}

export const laneHistoryActor = Effect.fnUntraced(function* ({ owner, memory = LANE_MEMORY, everyMs = LOOK_EVERY_MS }: LaneHistoryOptions) {
  const leases = yield* Leases
  const { chainId } = yield* ResultContract
  const look = Effect.gen(function* () {
    yield* Effect.sleep(Duration.millis(everyMs))
    const [lease] = yield* leases.claim([laneHistoryLeaseName(chainId)], owner, LEASE_MS)
    if (lease !== undefined) yield* Effect.ensuring(forgetAll(lease, chainId, memory), Effect.ignore(leases.resign([lease], owner)))
  })
  yield* supervise("lane-history", look)
})

const forgetAll = Effect.fnUntraced(function* (lease: Lease, chainId: bigint, memory: LaneMemory) {
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  for (let portions = 0; portions < PORTIONS_MAX; portions++) {
    const forgotten = yield* ledger.forget(lease, chainId, memory, PORTION)
    if (forgotten === 0) return
    telemetry.count("lane_history_forgotten", forgotten)
  }
})
