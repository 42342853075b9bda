/** What actors need from any bus: hints that may be lost, doubled, late or out of order. No actor may rely on more. */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { Fate } from "../domain/fate.ts"

/** The bus could not be reached or did not confirm. Whether the message is stored is unknown; the sweeper will find out. */
export class BusUnavailable extends Schema.TaggedError<BusUnavailable>()("BusUnavailable", {
  doing: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

export interface Delivery {
  readonly subject: string
  readonly body: Uint8Array
  /** 1 for the first delivery, as far as the bus knows. */
  readonly deliveries: number
}

/** What the consumer wants to happen to a delivery. A handler that dies or is interrupted means `nak`. */
export type Verdict =
  | { readonly type: "ack" }
  | { readonly type: "nak"; readonly delayMs: number }
  /** Nobody can read it: the bus keeps a copy on `decryption.parked` and never delivers it again. */
  | { readonly type: "park"; readonly reason: string }

export interface ConsumeOptions {
  /** Deliveries handled at once. Backpressure: no more are pulled. */
  readonly concurrency: number
}

export class Bus extends Context.Service<
  Bus,
  {
    /**
     * Resolves once the bus has confirmed. `messageId` lets the bus drop an immediate double (within DUPLICATE_WINDOW_MS,
     * bus-limits.ts); nobody relies on it. A subject for neither work nor outcomes, and a body over BODY_BYTES_MAX, are defects.
     */
    readonly publish: (subject: string, body: Uint8Array, messageId: string) => Effect.Effect<void, BusUnavailable>
    /**
     * Every message on `subject` goes to one of the consumers that share it. Runs in the background until the scope closes, then
     * stops pulling and waits for handlers in flight. Survives reconnects, lost streams and deleted consumers by making them again.
     * Returns at once, whether or not the bus can be reached yet.
     */
    readonly consume: (
      subject: string,
      options: ConsumeOptions,
      handle: (delivery: Delivery) => Effect.Effect<Verdict>
    ) => Effect.Effect<void, BusUnavailable, Scope.Scope>
    /** Fails when the bus cannot be used at the moment. */
    readonly ping: Effect.Effect<void, BusUnavailable>
  }
>()("portcullis/messaging/Bus") {}
