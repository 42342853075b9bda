/** What is kept, how much of it, and when it was last used: bounded by size and by age. Knows nothing about where it is kept. */
interface Entry<Value> {
  readonly value: Value
  readonly size: number
  usedAtMs: number
}

/** In order of use, the least recent first: a Map keeps the order of insertion. Sizes are in whatever unit the caller counts: bytes, or one each. */
export class LruIndex<Value, Key extends string = string> {
  readonly #entries = new Map<Key, Entry<Value>>()
  readonly #sizeMax: number
  readonly #unusedMsMax: number
  #size = 0

  constructor(sizeMax: number, unusedMsMax: number) {
    this.#sizeMax = sizeMax
    this.#unusedMsMax = unusedMsMax
  }

  get size(): number {
    return this.#size
  }

  get entries(): number {
    return this.#entries.size
  }

  has(key: Key): boolean {
    return this.#entries.has(key)
  }

  /** The value, which now counts as used. */
  touch(key: Key, nowMs: number): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    entry.usedAtMs = nowMs
    return entry.value
  }

  /** What had to go for it; the newcomer itself when it is larger than everything may be. */
  put(key: Key, value: Value, size: number, usedAtMs: number): ReadonlyArray<Key> {
    this.delete(key)
    if (size > this.#sizeMax) return [key]
    this.#entries.set(key, { value, size, usedAtMs })
    this.#size += size
    return this.#removeWhile(() => this.#size > this.#sizeMax)
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#size -= entry.size
  }

  /** What had gone unused for too long, and is gone. */
  expire(nowMs: number): ReadonlyArray<Key> {
    return this.#removeWhile((oldest) => nowMs - oldest.usedAtMs > this.#unusedMsMax)
  }

  #removeWhile(isTooMuch: (oldest: Entry<Value>) => boolean): ReadonlyArray<Key> {
    const removed: Array<Key> = []
    for (const [key, entry] of this.#entries) {
      if (!isTooMuch(entry)) break
      this.delete(key)
      removed.push(key)
    }
    return removed
  }
}
