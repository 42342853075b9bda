/**
 * What may be sent a second time: every success earns a tenth of a repetition, and a small stock is there from the start. A
 * dependency that is down earns nothing, so an outage is met with the first attempts and the stock, never with a multiple of the
 * load (the metastable overload that retries make). Hedges are paid from here too. Pure.
 */

export interface BudgetPolicy {
  /** Repetitions earned by one success. */
  readonly perSuccess: number
  /** Repetitions that may be spent before anything was earned. */
  readonly floor: number
  /** Most that can be saved: a quiet hour is no leave for a storm. */
  readonly most: number
}

/**
 * A tenth keeps repetitions from adding a visible part to the load; the stock lets a process that has just started repeat at
 * all.
 */
export const BUDGET: BudgetPolicy = { perSuccess: 0.1, floor: 10, most: 100 }

export interface RetryBudget {
  /** In thousandths of a repetition: whole numbers, so that ten successes are exactly one. */
  readonly thousandths: number
}

export const fullBudget = (policy: BudgetPolicy = BUDGET): RetryBudget => ({ thousandths: policy.floor * 1_000 })

export const earn = (policy: BudgetPolicy, { thousandths }: RetryBudget, successes = 1): RetryBudget => ({
  thousandths: Math.min(policy.most * 1_000, thousandths + Math.round(policy.perSuccess * 1_000) * successes)
})

/** Undefined when there is nothing left to spend. */
export const spend = ({ thousandths }: RetryBudget): RetryBudget | undefined =>
  thousandths >= 1_000 ? { thousandths: thousandths - 1_000 } : undefined

export const left = ({ thousandths }: RetryBudget): number => Math.floor(thousandths / 1_000)
