/** Percentiles and rounding, in one way for every figure that is printed. */

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

/** Three significant places are more than a shared machine can promise. */
export const rounded = (value: number): number => (Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100)

/** The value below which `share` (0 to 1) of them lie; 0 of none. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const quantiles = (values: ReadonlyArray<number>): Quantiles => ({
  p50: rounded(percentile(values, 0.5)),
  p99: rounded(percentile(values, 0.99))
})

export const mean = (values: ReadonlyArray<number>): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
