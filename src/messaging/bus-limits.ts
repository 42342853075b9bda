/** The bounds every bus keeps, each with its unit and its reason. They belong to the promise, so adapters share them. */
import assert from "node:assert/strict"
import { ENVELOPE_BYTES_MAX, WORK_TIMEOUT_MS } from "../domain/limits.ts"

/** A delivery that nobody has settled for this long goes to somebody else. A live handler says so three times as often. */
export const ACK_WAIT_MS = 30_000
/** A message handed out this often kills its handlers or never gets better: it is parked for a person to look at. */
export const DELIVERIES_MAX = 20
/** The pause before a message is tried again whose handler died without a verdict. */
export const DEFECT_NAK_MS = 1_000
/** The same message id twice within this time is one message, if the bus keeps count. */
export const DUPLICATE_WINDOW_MS = 5_000
/** Hints older than this have been swept and sent again many times. */
export const HINT_AGE_MAX_MS = 3_600_000
/** Parked messages kept for an operator. More than this many are one defect seen many times. */
export const PARKED_KEPT_MAX = 1_000
/** Nobody asks about an older one any more: what it was about has ended long ago. */
export const PARKED_AGE_MAX_MS = 14 * 24 * 3_600_000
/** Why a message was parked, in characters. It travels in a header. */
export const PARK_REASON_LENGTH_MAX = 200
/** A body: every envelope fits (domain/limits.ts), nothing larger is ours. */
export const BODY_BYTES_MAX = ENVELOPE_BYTES_MAX

// A sweeper that sends lost work again under the same id must not be swallowed as a double (reliability.md findings 1 and 2).
assert(DUPLICATE_WINDOW_MS < WORK_TIMEOUT_MS, "work sent again after its timeout is never taken for a double")
assert(WORK_TIMEOUT_MS < ACK_WAIT_MS, "the ledger notices silent work before the bus does")
