/** Messages that nobody could read, or that never got better: kept apart for an operator, who lets them go their way again or drops them. */
import { createHash } from "node:crypto"
import { Context, type Effect } from "effect"
import type { BusUnavailable } from "./bus.port.ts"

export interface ParkedMessage {
  /** Names this very message: where it is kept and a digest of what it says, so that after the bus has lost its store no other is meant. */
  readonly id: string
  /** Where it was going. */
  readonly subject: string
  readonly body: Uint8Array
  readonly reason: string
  readonly deliveries: number
  /** By the bus's clock. */
  readonly parkedAtMs: number
}

/** What is known when it is parked. */
export type ParkedNow = Omit<ParkedMessage, "id" | "parkedAtMs">

export interface ParkedFilter {
  readonly limit: number
  /** Only those that were going there. */
  readonly subject?: string
}

export class ParkedMessages extends Context.Service<
  ParkedMessages,
  {
    /** How many were ever parked, as far as the bus remembers; falls only when the bus loses its store. */
    readonly count: Effect.Effect<number, BusUnavailable>
    /** How many are kept now: at most PARKED_KEPT_MAX, of the last PARKED_AGE_MAX_MS. */
    readonly kept: Effect.Effect<number, BusUnavailable>
    /** Of those still kept, newest first. */
    readonly newest: (filter: ParkedFilter) => Effect.Effect<ReadonlyArray<ParkedMessage>, BusUnavailable>
    /** Undefined when it is not kept any more. */
    readonly find: (id: string) => Effect.Effect<ParkedMessage | undefined, BusUnavailable>
    /** Publishes it again where it was going, and only then takes it away: a failure in between leaves it in both places, never in none. Whoever cannot
     * read it parks it again, as a new one. `false`: it was not kept any more, and nothing was published. */
    readonly redrive: (id: string) => Effect.Effect<boolean, BusUnavailable>
    /** `false`: it was not kept any more. */
    readonly drop: (id: string) => Effect.Effect<boolean, BusUnavailable>
  }
>()("portcullis/messaging/ParkedMessages") {}

const DIGEST_DIGITS = 8

/** `place` is a whole number that the bus gives once in the life of its store. */
export const parkedId = (place: number, { subject, body }: Pick<ParkedMessage, "subject" | "body">): string =>
  `${place}-${createHash("sha256").update(`${subject}\n`).update(body).digest("hex").slice(0, DIGEST_DIGITS)}`

/** Undefined for what is no id. */
export const placeOfParked = (id: string): number | undefined => {
  const place = /^(\d{1,15})-[0-9a-f]{8}$/.exec(id)?.[1]
  return place === undefined ? undefined : Number(place)
}
