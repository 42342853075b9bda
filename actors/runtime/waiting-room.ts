/** What will be given out within a moment, one of each requester in turn. Bounded by whoever fills it; what it loses with its process, the wake-ups
 * of the ledger remember. Pure bookkeeping. */
import type { Hex } from "../../src/domain/hex.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { OwedWork } from "./dispatch.ts"

export interface WaitingWork extends OwedWork {
  readonly requester: Hex
}

export class WaitingRoom {
  /** Whose turn is next stands first. */
  readonly #lines = new Map<Hex, Array<WaitingWork>>()
  readonly #versions = new Map<RequestId, number>()

  get size(): number {
    return this.#versions.size
  }

  add(work: WaitingWork): void {
    if (this.has(work.requestId, work.version)) return
    this.remove(work.requestId)
    this.#versions.set(work.requestId, work.version)
    const line = this.#lines.get(work.requester)
    if (line === undefined) this.#lines.set(work.requester, [work])
    else line.push(work)
  }

  has(id: RequestId, version: number): boolean {
    return this.#versions.get(id) === version
  }

  /** It is given out in another way, or not at all. Its place in the line is passed over. */
  remove(id: RequestId): void {
    this.#versions.delete(id)
  }

  /** Up to `count`, one of each requester, then a second of each. Who had the last turn is last next time. */
  take(count: number): ReadonlyArray<WaitingWork> {
    const taken: Array<WaitingWork> = []
    while (taken.length < count) {
      const next = this.#lines.entries().next().value
      if (next === undefined) break
      const [requester, line] = next
      this.#lines.delete(requester)
      const work = line.shift()
      if (line.length > 0) this.#lines.set(requester, line)
      if (work === undefined || !this.has(work.requestId, work.version)) continue
      this.remove(work.requestId)
      taken.push(work)
    }
    return taken
  }
}
