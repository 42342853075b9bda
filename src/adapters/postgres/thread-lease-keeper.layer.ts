/**
 * Leases kept by a thread of this process (lease-renewal.worker.ts). Claiming and resigning are asked from here; only renewal has to go on while
 * this loop is busy. A thread that dies is replaced; meanwhile the windows run out by themselves. It ends with the scope, and with the process.
 */
import type { Worker } from "node:worker_threads"
import { Clock, Duration, Effect, Layer } from "effect"
import { LOOP_SILENT_MS_MAX } from "../../domain/limits.ts"
import { heldLeases, keeperOver } from "../../ledger/held-leases.ts"
import { type KeptLease, LEASE_TIMING, type LeaseTiming } from "../../ledger/keep-renewing.ts"
import { LeaseKeeper } from "../../ledger/lease-keeper.port.ts"
import { Leases } from "../../ledger/lease.port.ts"
import { Telemetry } from "../../telemetry/telemetry.port.ts"
import { boundedWorker } from "../worker-threads/bounded-worker.ts"
import type { DatabaseSettings } from "./pool.ts"
import type { FromRenewal, RenewalData, ToRenewal } from "./renewal-messages.ts"

/** Signs of life in the time after which the loop would be taken for dead. */
const SIGNS_OF_LIFE = 10
const RESTART_MS = 500
/** Megabytes of its heap: it holds a few hundred leases and one connection. One that outgrows this ends the thread, and nothing else. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

export interface ThreadLeaseKeeperOptions {
  readonly database: DatabaseSettings
  readonly silentMsMax?: number
  readonly timing?: LeaseTiming
  /** Hears of each thread that is started. */
  readonly onThread?: (thread: Worker) => void
}

export const threadLeaseKeeper = (options: ThreadLeaseKeeperOptions): Layer.Layer<LeaseKeeper, never, Leases | Telemetry> =>
  Layer.effect(
    LeaseKeeper,
    Effect.gen(function* () {
      const { silentMsMax = LOOP_SILENT_MS_MAX, timing = LEASE_TIMING } = options
      const telemetry = yield* Telemetry
      let thread: Worker | undefined
      let nextId = 1
      const ids = new WeakMap<KeptLease, number>()
      const tell = (message: ToRenewal): void => thread?.postMessage(message)
      const keep = (one: KeptLease): void => {
        const id = ids.get(one) ?? nextId++
        ids.set(one, id)
        tell({ type: "keep", id, lease: one.lease, owner: one.owner, trust: one.trust.memory })
      }
      const drop = (one: KeptLease): void => tell({ type: "drop", id: ids.get(one) ?? 0 })
      const held = heldLeases({ added: keep, removed: drop })

      const hear = (message: FromRenewal): void => {
        if (message.type === "failed") telemetry.warn("leases not renewed", { error: message.error })
        else telemetry.warn("leases not renewed: the event loop was silent for too long", { silentMsMax })
      }
      /** Of the thread that died last, by the kind of its error: messages could quote anything. */
      let diedOf = "it ended"
      const lastSign = new SharedArrayBuffer(8)
      const giveSign = Effect.map(Clock.monotonicTimeNanos, (now) => Atomics.store(new BigInt64Array(lastSign), 0, now))
      yield* giveSign
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(Duration.millis(silentMsMax / SIGNS_OF_LIFE)), giveSign)))

      const start = Effect.sync(() => {
        const workerData: RenewalData = { database: options.database, lastSign, silentMsMax, timing }
        thread = boundedWorker(new URL("./lease-renewal.worker.ts", import.meta.url), workerData, HEAP_LIMITS)
        thread.on("message", hear)
        // "exit" follows; without a listener the process would end.
        thread.on("error", (error: Error & { readonly code?: unknown }) => (diedOf = typeof error.code === "string" ? error.code : error.name))
        thread.unref() // whether the process ends is not decided here
        for (const one of held.all()) keep(one)
        options.onThread?.(thread)
        return thread
      })
      const ended = (running: Worker) => Effect.callback<void>((resume) => void running.once("exit", () => resume(Effect.void)))
      const end = (running: Worker) =>
        Effect.promise(async () => {
          thread = undefined
          await running.terminate()
        })
      yield* Effect.acquireUseRelease(start, ended, end).pipe(
        Effect.andThen(Effect.sync(() => telemetry.warn("the thread that renews leases died and is started again", { error: diedOf }))),
        Effect.andThen(Effect.sleep(Duration.millis(RESTART_MS))),
        Effect.forever,
        Effect.forkScoped
      )
      return keeperOver(yield* Leases, held, timing)
    })
  )
