/** A new ledger has to be compared with the chain before its lanes may sign: most tests have no chain to ask, and say that it was done. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RECONCILE_LEASE, Timeline } from "../../src/ledger/timeline.port.ts"

export const sayReconciled = Effect.gen(function* () {
  const leases = yield* Leases
  const timeline = yield* Timeline
  const [lease] = yield* leases.claim([RECONCILE_LEASE], "test", 60_000)
  assert(lease !== undefined)
  const history = yield* timeline.begin(lease)
  if (history !== undefined) assert(yield* timeline.finish(lease, history))
  yield* leases.resign([lease], "test")
  yield* sayVouched
})

/** As a gateway that remembers how far the database had come, and finds nothing lacking. */
export const sayVouched = Effect.gen(function* () {
  const timeline = yield* Timeline
  assert(yield* timeline.vouch((yield* timeline.look).standing))
})
