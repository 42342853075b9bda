/** Chance that can be repeated: one seed, one sequence, on every machine. Not for anything secret. */

export interface SeededRandom {
  /** 0 to just below 1. */
  readonly next: () => number
  /** A whole number, both ends included. */
  readonly between: (least: number, most: number) => number
  /** So many different ones; all of them, shuffled, when there are fewer. */
  readonly choose: <A>(from: ReadonlyArray<A>, count: number) => ReadonlyArray<A>
  /** A sequence of its own, so that one part of a run may draw more without changing what another part draws. */
  readonly fork: (name: string) => SeededRandom
}

/** splitmix32: small, and good enough to spread faults. */
export const seededRandom = (seed: number): SeededRandom => {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    next,
    between,
    choose: (from, count) => {
      const left = [...from]
      return Array.from({ length: Math.min(count, left.length) }, () => left.splice(between(0, left.length - 1), 1)[0]!)
    },
    fork: (name) => seededRandom([...name].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), seed ^ 0x811c9dc5))
  }
}
