/** Finding the false ones among many claims with few checks: ask about all, and halve only where the answer is no. */

/**
 * Positions of the items that do not hold, given a test that says whether all of some items hold. With f false ones
 * among n it asks at most about 2f*log2(n) + 1 times; with none, once. The test may be probabilistic in saying yes
 * (random linear combination), never in saying no.
 */
export const findFalse = <Item>(
  items: ReadonlyArray<Item>,
  allHold: (items: ReadonlyArray<Item>) => boolean
): ReadonlySet<number> => {
  const found = new Set<number>()
  const search = (from: number, to: number): void => {
    if (from === to || allHold(items.slice(from, to))) return
    if (to - from === 1) {
      found.add(from)
      return
    }
    const middle = from + Math.floor((to - from) / 2)
    search(from, middle)
    search(middle, to)
  }
  search(0, items.length)
  return found
}
