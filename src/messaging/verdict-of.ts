/** Runs a handler so that nothing it does can hurt the bus: whatever goes wrong inside is logged and becomes `nak`. */
import { Effect } from "effect"
import { DEFECT_NAK_MS } from "./bus-limits.ts"
import type { Delivery, Verdict } from "./bus.port.ts"

export const verdictOf = (handle: (delivery: Delivery) => Effect.Effect<Verdict>, delivery: Delivery): Effect.Effect<Verdict> =>
  Effect.suspend(() => handle(delivery)).pipe(
    Effect.catchCause((cause) =>
      Effect.as(
        Effect.logError("a message handler died; the message comes back", { subject: delivery.subject }, cause),
        { type: "nak", delayMs: DEFECT_NAK_MS } as const
      )
    )
  )
