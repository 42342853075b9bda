/** Whether a series of measurements grows: a straight line through it, and how sure one may be of its slope. Pure. */

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Line {
  readonly slope: number
  /** Standard error of the slope: what is left of the points when the line is taken away says how far it may be off. */
  readonly slopeError: number
  /** At the first and at the last x. */
  readonly first: number
  readonly last: number
}

const POINTS_MIN = 3

/** Least squares. */
export const lineThrough = (points: ReadonlyArray<Point>): Line => {
  const n = points.length
  if (n < POINTS_MIN) throw new TypeError(`a line with an error needs ${POINTS_MIN} points, and there are ${n}`)
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  if (spread === 0) throw new TypeError("all points lie above each other: no line goes through them")
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const at = (x: number): number => meanY + slope * (x - meanX)
  const rest = points.reduce((sum, { x, y }) => sum + (y - at(x)) ** 2, 0)
  return { slope, slopeError: Math.sqrt(rest / (n - 2) / spread), first: at(points[0]?.x ?? 0), last: at(points.at(-1)?.x ?? 0) }
}

/**
 * One point for each of so many stretches with equally many points: what a garbage collector does in between is not growth. A
 * stretch with fewer points than the others would have a higher floor.
 */
export const byStretch = (points: ReadonlyArray<Point>, stretches: number, of: (ys: ReadonlyArray<number>) => number): ReadonlyArray<Point> => {
  const each = Math.max(1, Math.floor(points.length / stretches))
  return Array.from({ length: Math.floor(points.length / each) }, (_, stretch) => {
    const some = points.slice(stretch * each, (stretch + 1) * each)
    return { x: some.reduce((sum, { x }) => sum + x, 0) / each, y: of(some.map(({ y }) => y)) }
  })
}

export type Growth = "flat" | "grows" | "undecided"

/** With two standard errors to either side: `undecided` asks for a longer look, and is not a yes. */
export const growthOf = ({ slope, slopeError }: Pick<Line, "slope" | "slopeError">, slopeMax: number): Growth => {
  if (slope + 2 * slopeError <= slopeMax) return "flat"
  return slope - 2 * slopeError > slopeMax ? "grows" : "undecided"
}
