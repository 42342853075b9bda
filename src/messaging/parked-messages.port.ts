/** What an operator needs to know of messages that nobody could read. */
import { Context, type Effect } from "effect"
import type { BusUnavailable } from "./bus.port.ts"

export interface ParkedMessage {
  /** Where it was going. */
  readonly subject: string
  readonly body: Uint8Array
  readonly reason: string
  readonly deliveries: number
}

export class ParkedMessages extends Context.Service<
  ParkedMessages,
  {
    /** How many were ever parked, as far as the bus remembers; falls only when the bus loses its store. */
    readonly count: Effect.Effect<number, BusUnavailable>
    /** At most `limit` of those still kept (PARKED_KEPT_MAX), newest first. */
    readonly newest: (limit: number) => Effect.Effect<ReadonlyArray<ParkedMessage>, BusUnavailable>
  }
>()("portcullis/messaging/ParkedMessages") {}
