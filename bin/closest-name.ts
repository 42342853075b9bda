/** What somebody probably meant: the one name among `names` that a few typing mistakes turn into `text`. */

/** More mistakes than this, and it was another word. */
const MISTAKES_MAX = 3

export const closestName = <A extends string>(text: string, names: ReadonlyArray<A>): A | undefined => {
  const ranked = names.map((name) => ({ name, mistakes: mistakesBetween(text, name) })).toSorted((a, b) => a.mistakes - b.mistakes)
  const [best] = ranked
  return best !== undefined && best.mistakes <= MISTAKES_MAX ? best.name : undefined
}

/** Levenshtein distance: letters to insert, drop or replace. */
const mistakesBetween = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
