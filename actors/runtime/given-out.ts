/** How much work of one step may be given out at once, and what is: as much as is answered within twice the time that an answer takes when nobody
 * waits (bandwidth times delay, as BBR does it for packets), and within half a second at least. More would only lie on the bus, in front of whoever
 * asks next. Pure bookkeeping; times are handed in. */
import { WORK_TIMEOUT_MS } from "../../src/domain/limits.ts"
import type { RequestId } from "../../src/domain/request.ts"

/** Given out at least, by each coordinator for each step: enough to keep the hands of several workers busy, and for two full attestations. */
export const GIVEN_OUT_LEAST = 64
/** And at most: 1 MiB of memory for each step. */
export const GIVEN_OUT_MOST = 4_096
/** Steps do many requests at once for little more than one: a window for single answers would keep them from it. Nobody notices so much. */
export const AHEAD_MS_LEAST = 500
/** Work given out lies ahead of a newcomer for about so long at most, where `GIVEN_OUT_LEAST` allows it. */
export const AHEAD_MS_MAX = 2_000
/** What has not been answered for so long no longer counts: it is lost, and the sweeper gives it out again. */
const LOST_AFTER_MS = 3 * WORK_TIMEOUT_MS
/** Short, so that the first pile after a quiet time is soon given out as fast as it is answered. */
const RATE_WINDOW_MS = 250
/** The quickest answer of this or the last such window counts: workers may have become slower. */
const QUICKEST_WINDOW_MS = 300_000

export class GivenOut {
  /** The oldest first. */
  readonly #sinceMs = new Map<RequestId, { readonly version: number; readonly atMs: number }>()
  #rate = { sinceMs: 0, now: 0, before: 0 }
  #quickest = { sinceMs: 0, now: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY }

  give(id: RequestId, version: number, nowMs: number): void {
    this.#sinceMs.delete(id)
    this.#sinceMs.set(id, { version, atMs: nowMs })
  }

  has(id: RequestId, version: number): boolean {
    return this.#sinceMs.get(id)?.version === version
  }

  /** It could not be given out after all. */
  takeBack(id: RequestId): void {
    this.#sinceMs.delete(id)
  }

  /** Something was said about it, at this version or whatever the version. Answers whether it had been given out. */
  answered(id: RequestId, version: number | undefined, nowMs: number): boolean {
    const given = this.#sinceMs.get(id)
    if (given === undefined || (version !== undefined && version !== given.version)) return false
    this.#sinceMs.delete(id)
    this.#roll(nowMs)
    this.#rate.now++
    this.#quickest.now = Math.min(this.#quickest.now, nowMs - given.atMs)
    return true
  }

  size(nowMs: number): number {
    for (const [id, { atMs }] of this.#sinceMs) {
      if (nowMs - atMs < LOST_AFTER_MS) break
      this.#sinceMs.delete(id)
    }
    return this.#sinceMs.size
  }

  /** How much may be given out at once. */
  limit(nowMs: number): number {
    const perSecond = this.#perSecond(nowMs)
    const quickestMs = Math.min(this.#quickest.now, this.#quickest.before)
    if (perSecond === 0) return GIVEN_OUT_LEAST
    const wanted = Math.ceil((perSecond * Math.min(Math.max(2 * quickestMs, AHEAD_MS_LEAST), AHEAD_MS_MAX)) / 1_000)
    return Math.max(GIVEN_OUT_LEAST, Math.min(GIVEN_OUT_MOST, wanted))
  }

  /** How much more may wait in memory to be given out: half of what may lie ahead of a newcomer, who is in turn with it. */
  waitingMax(nowMs: number): number {
    return Math.max(GIVEN_OUT_LEAST, Math.min(GIVEN_OUT_MOST, Math.ceil((this.#perSecond(nowMs) * AHEAD_MS_MAX) / 2_000)))
  }

  room(nowMs: number): number {
    return Math.max(0, this.limit(nowMs) - this.size(nowMs))
  }

  #perSecond(nowMs: number): number {
    this.#roll(nowMs)
    return (Math.max(this.#rate.now, this.#rate.before) * 1_000) / RATE_WINDOW_MS
  }

  #roll(nowMs: number): void {
    const { sinceMs, now } = this.#rate
    if (nowMs - sinceMs >= RATE_WINDOW_MS) this.#rate = { sinceMs: nowMs, now: 0, before: nowMs - sinceMs < 2 * RATE_WINDOW_MS ? now : 0 }
    const quickest = this.#quickest
    if (nowMs - quickest.sinceMs >= QUICKEST_WINDOW_MS) this.#quickest = { sinceMs: nowMs, now: Number.POSITIVE_INFINITY, before: quickest.now }
  }
}
