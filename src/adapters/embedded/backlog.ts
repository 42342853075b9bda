/** A first-in first-out line: `push` and `shift` in constant time, however many wait (an array's `shift` moves all the others). */

/** Slots at the front that may be empty before they are given back. */
const HOLES_MAX = 1_024

export class Backlog<T> implements Iterable<T> {
  private items: Array<T | undefined> = []
  private first = 0

  get size(): number {
    return this.items.length - this.first
  }

  push(item: T): void {
    this.items.push(item)
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined
    const item = this.items[this.first]
    this.items[this.first++] = undefined
    if (this.first > HOLES_MAX && this.first * 2 > this.items.length) {
      this.items = this.items.slice(this.first)
      this.first = 0
    }
    return item
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = this.first; index < this.items.length; index++) yield this.items[index] as T
  }
}
