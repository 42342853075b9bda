/** Where all chance of a simulated history comes from: one seed, and for each part of the world a stream of its own, so that a part which
 * draws once more does not change what all the others draw. */
import type { Random } from "effect"

const TWO_32 = 4_294_967_296

/** splitmix32 over the bytes of a name: spreads near seeds far apart. */
const seedsOf = (name: string): [number, number, number, number] => {
  let state = 0x9e3779b9
  for (let index = 0; index < name.length; index++) state = Math.imul(state ^ name.charCodeAt(index), 0x85ebca6b) + index
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) | 0
  }
  return [next(), next(), next(), next()]
}

/** sfc32: passes the usual tests, and four additions long. Not for secrets; there are none in here. */
export class Chance {
  private readonly name: string
  private a: number
  private b: number
  private c: number
  private counter: number

  constructor(seed: number | string) {
    this.name = String(seed)
    ;[this.a, this.b, this.c, this.counter] = seedsOf(this.name)
    for (let warm = 0; warm < 12; warm++) this.uint32()
  }

  /** A stream of its own, the same for the same name. */
  stream(name: string): Chance {
    return new Chance(`${this.name}/${name}`)
  }

  uint32(): number {
    const sum = (this.a + this.b + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum | 0
    return sum >>> 0
  }

  /** 0 (included) to 1 (not). */
  fraction(): number {
    return this.uint32() / TWO_32
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1))
  }

  /** Always draws, so that a probability of 0 does not shift what comes after. */
  happens(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(from: ReadonlyArray<T>): T {
    const picked = from[this.between(0, from.length - 1)]
    if (picked === undefined) throw new TypeError("nothing to pick from")
    return picked
  }

  shuffled<T>(all: ReadonlyArray<T>): Array<T> {
    const out = [...all]
    for (let last = out.length - 1; last > 0; last--) {
      const other = this.between(0, last)
      ;[out[last], out[other]] = [out[other]!, out[last]!]
    }
    return out
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.uint32() & 0xff)
  }

  /** As the `Random` of Effect programs. */
  get asRandom(): Random.Random {
    return {
      nextIntUnsafe: () => (this.uint32() - TWO_32 / 2) * 2_097_152 + (this.uint32() >>> 11),
      nextDoubleUnsafe: () => this.fraction()
    }
  }
}
