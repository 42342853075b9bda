/** What becomes of a message when nothing could be done about it for a reason that is not its own: the ledger is away, the partition is somebody
 * else's. It comes again, ever later, so that an outage is no flood; and before the bus takes it for poison it is let go, because the ledger
 * remembers what is owed and gives it out again. */
import { RETRY_FIRST_MS } from "../../src/domain/limits.ts"
import { DELIVERIES_MAX } from "../../src/messaging/bus-limits.ts"
import type { Delivery, Verdict } from "../../src/messaging/bus.port.ts"
import { backoffBoundMs } from "../../src/resilience/backoff.ts"

/** Sooner than the ledger would give the same work out again. */
const PAUSE = { firstMs: RETRY_FIRST_MS, longestMs: 2_000 }
/** One is kept for a handler that dies. */
const TRIES_MAX = DELIVERIES_MAX - 2

export const comeAgain = ({ deliveries }: Pick<Delivery, "deliveries">): Verdict =>
  deliveries > TRIES_MAX ? { type: "ack" } : { type: "nak", delayMs: backoffBoundMs(PAUSE, deliveries) }
