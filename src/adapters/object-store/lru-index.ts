/** What is kept, how much of it, and when it was last used: bounded by size and by age. Knows nothing about where it is kept. */
import type { Hex } from "../../domain/hex.ts"

interface Entry<Value> {
  readonly value: Value
  readonly sizeBytes: number
  usedAtMs: number
}

/** In order of use, the least recent first: a Map keeps the order of insertion. */
export class LruIndex<Value> {
  readonly #entries = new Map<Hex, Entry<Value>>()
  readonly #bytesMax: number
  readonly #unusedMsMax: number
  #bytes = 0

  constructor(bytesMax: number, unusedMsMax: number) {
    this.#bytesMax = bytesMax
    this.#unusedMsMax = unusedMsMax
  }

  get bytes(): number {
    return this.#bytes
  }

  has(digest: Hex): boolean {
    return this.#entries.has(digest)
  }

  /** The value, which now counts as used. */
  touch(digest: Hex, nowMs: number): Value | undefined {
    const entry = this.#entries.get(digest)
    if (entry === undefined) return undefined
    this.#entries.delete(digest)
    this.#entries.set(digest, entry)
    entry.usedAtMs = nowMs
    return entry.value
  }

  /** What had to go for it; the newcomer itself when it is larger than everything may be. */
  put(digest: Hex, value: Value, sizeBytes: number, usedAtMs: number): ReadonlyArray<Hex> {
    this.delete(digest)
    if (sizeBytes > this.#bytesMax) return [digest]
    this.#entries.set(digest, { value, sizeBytes, usedAtMs })
    this.#bytes += sizeBytes
    return this.#removeWhile(() => this.#bytes > this.#bytesMax)
  }

  delete(digest: Hex): void {
    const entry = this.#entries.get(digest)
    if (entry === undefined) return
    this.#entries.delete(digest)
    this.#bytes -= entry.sizeBytes
  }

  /** What had gone unused for too long, and is gone. */
  expire(nowMs: number): ReadonlyArray<Hex> {
    return this.#removeWhile((oldest) => nowMs - oldest.usedAtMs > this.#unusedMsMax)
  }

  #removeWhile(isTooMuch: (oldest: Entry<Value>) => boolean): ReadonlyArray<Hex> {
    const removed: Array<Hex> = []
    for (const [digest, entry] of this.#entries) {
      if (!isTooMuch(entry)) break
      this.delete(digest)
      removed.push(digest)
    }
    return removed
  }
}
