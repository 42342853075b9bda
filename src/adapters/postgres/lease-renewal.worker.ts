/**
 * The thread that renews leases, on a connection of its own: the gateway's event loop may compute for seconds without losing what it owns. It
 * stops when that loop shows no sign of life for too long. Trust is handed over in shared memory, which needs no loop to be read.
 */
import assert from "node:assert/strict"
import { parentPort, workerData } from "node:worker_threads"
import { Effect, Layer } from "effect"
import { keepRenewing, type KeptLease, Trust } from "../../ledger/keep-renewing.ts"
import { leasesLayer } from "./leases.layer.ts"
import { databaseLayer, type DatabaseSettings } from "./pool.ts"
import type { FromRenewal, RenewalData, ToRenewal } from "./renewal-messages.ts"

assert(parentPort !== null, "this file runs on a worker thread")
const port = parentPort
const say = (message: FromRenewal): void => port.postMessage(message)
const { database, lastSign, silentMsMax, timing } = workerData as RenewalData
const sign = new BigInt64Array(lastSign)

const kept = new Map<number, KeptLease>()
port.on("message", (message: ToRenewal) => {
  if (message.type === "drop") return void kept.delete(message.id)
  const { id, lease, owner, trust } = message
  kept.set(id, { lease, owner, trust: new Trust(trust) })
})

let wasSilent = false
const isSilent = (): boolean => process.hrtime.bigint() - Atomics.load(sign, 0) > BigInt(silentMsMax) * 1_000_000n
const toRenew = (): ReadonlyArray<KeptLease> => {
  if (isSilent() !== wasSilent) {
    wasSilent = !wasSilent
    if (wasSilent) say({ type: "silent" })
  }
  return wasSilent ? [] : [...kept.values()]
}
const stillKept = (one: KeptLease): boolean => [...kept.values()].includes(one)

const settings: DatabaseSettings = { ...database, connectionsMax: 1, waitMsMax: timing.renewMs }
const leases = leasesLayer.pipe(Layer.provide(databaseLayer(settings)))
const onFailure = (error: string): void => say({ type: "failed", error })
Effect.runFork(Effect.provide(keepRenewing(toRenew, stillKept, onFailure, timing), leases))
