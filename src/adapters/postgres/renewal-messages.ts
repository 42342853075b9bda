/** What the gateway's thread and the one that renews its leases say to each other. */
import type { LeaseTiming } from "../../ledger/keep-renewing.ts"
import type { Lease } from "../../ledger/lease.port.ts"
import type { DatabaseSettings } from "./pool.ts"

export interface RenewalData {
  readonly database: DatabaseSettings
  /** Monotonic nanoseconds of the last sign of life of the gateway's loop. */
  readonly lastSign: SharedArrayBuffer
  readonly silentMsMax: number
  readonly timing: LeaseTiming
}

export type ToRenewal =
  | { readonly type: "keep"; readonly id: number; readonly lease: Lease; readonly owner: string; readonly trust: SharedArrayBuffer }
  | { readonly type: "drop"; readonly id: number }

export type FromRenewal =
  /** A round that renewed nothing, by the kind of its error. */
  | { readonly type: "failed"; readonly error: string }
  /** The gateway's loop has been silent for too long; nothing is renewed until it is heard again. */
  | { readonly type: "silent" }
