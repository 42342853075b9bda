/**
 * Notices a durable consumer that stands still: messages wait, there is room for them, and for a while none has been delivered to
 * anybody. Seen after leader changes (nats-server #6387, nats.go #2063); no error tells of it.
 */

/** Longer than an election of a new leader, shorter than anybody's patience. */
export const STALL_MS = 10_000

export interface ConsumerView {
  /** Messages that the consumer has never handed out. */
  readonly pending: number
  readonly unsettled: number
  readonly unsettledMax: number
  /** Grows with every delivery, to whomever. */
  readonly deliveredSeq: number
}

export class StallWatch {
  private standsAt: { readonly deliveredSeq: number; readonly sinceMs: number } | undefined

  /** Takes one look; answers whether the consumer has stood still for STALL_MS. Times from any clock that only goes forward. */
  sees(view: ConsumerView, atMs: number): boolean {
    const shouldMove = view.pending > 0 && view.unsettled < view.unsettledMax
    if (!shouldMove || this.standsAt?.deliveredSeq !== view.deliveredSeq) {
      this.standsAt = shouldMove ? { deliveredSeq: view.deliveredSeq, sinceMs: atMs } : undefined
      return false
    }
    return atMs - this.standsAt.sinceMs >= STALL_MS
  }

  /** Something moved: begin anew. */
  forget(): void {
    this.standsAt = undefined
  }
}
