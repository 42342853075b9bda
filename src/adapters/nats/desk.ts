/**
 * The messages that one consumer of ours holds: those being handled and a few more at hand, so that no handler waits for the
 * network. Says exactly how many more it can take, which is all that is ever asked of the server.
 */
import type { JsMsg } from "@nats-io/jetstream"
import { Effect, type Fiber } from "effect"

/** At hand beside those being handled: as many again. More would be kept from other consumers. */
const HELD_PER_HAND = 2

export class Desk {
  private readonly concurrency: number
  private readonly start: (message: JsMsg) => Fiber.Fiber<unknown>
  private readonly line: Array<JsMsg> = []
  private readonly inHand = new Set<JsMsg>()
  private isClosed = false
  private whenRoom: (() => void) | undefined
  private whenDone: (() => void) | undefined
  /** Messages accepted since the start. Standing still while the server has more is a stall. */
  accepted = 0

  constructor(concurrency: number, start: (message: JsMsg) => Fiber.Fiber<unknown>) {
    this.concurrency = concurrency
    this.start = start
  }

  /** How many messages may be asked for now. */
  get room(): number {
    return this.concurrency * HELD_PER_HAND - this.line.length - this.inHand.size
  }

  /** Waits until asking is worth a round trip: one hand's worth of room. */
  readonly hasRoom: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.room >= this.concurrency) return resume(Effect.void)
    this.whenRoom = () => resume(Effect.void)
    return Effect.sync(() => (this.whenRoom = undefined))
  })

  /** A message that arrives too late goes straight back to the others. */
  accept(message: JsMsg): void {
    this.accepted++
    if (this.isClosed) return giveBack(message)
    this.line.push(message)
    this.work()
  }

  /** Tells the server that everything held is still wanted. */
  sayWorking(): void {
    for (const message of [...this.inHand, ...this.line]) safely(() => message.working())
  }

  /** Takes nothing new, gives back what has not begun, and waits for what has. */
  readonly close: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.isClosed = true
    for (const message of this.line.splice(0)) giveBack(message)
    if (this.inHand.size === 0) return resume(Effect.void)
    this.whenDone = () => resume(Effect.void)
  })

  private work(): void {
    while (this.inHand.size < this.concurrency) {
      const message = this.line.shift()
      if (message === undefined) return
      this.inHand.add(message)
      this.start(message).addObserver(() => this.finished(message))
    }
  }

  private finished(message: JsMsg): void {
    this.inHand.delete(message)
    this.work()
    if (this.room >= this.concurrency) this.whenRoom?.()
    if (this.inHand.size === 0) this.whenDone?.()
  }
}

const giveBack = (message: JsMsg): void => safely(() => message.nak())

/** A closed connection throws. Then nothing is settled, and the server delivers the message again. */
export const safely = (act: () => void): void => {
  try {
    act()
  } catch {
    // Deliberately nothing: see above.
  }
}
