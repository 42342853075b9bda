/** The journey of a request: the one list from which states, subjects, labels, spans, crash points, folders and runbooks derive. */

export const JOURNEY = [
  "detected",
  "acl-checked",
  "ciphertext-fetched",
  "shares-collected",
  "threshold-verified",
  "submitted"
] as const

/** A fact that has been durably established about a request. */
export type Milestone = (typeof JOURNEY)[number]

/**
 * How a request can end. Only `finalized` is success. `refused`: the access list or a rule says no. `expired`: its deadline passed.
 * `orphaned`: its block was reorganised away. `cancelled`: an operator, audited. `halted`: our own bug or an impossible answer; it
 * pages someone and is never shown to a user as a "no".
 */
export const ENDS = ["finalized", "refused", "expired", "orphaned", "cancelled", "halted"] as const
export type End = (typeof ENDS)[number]

export type RequestState = Milestone | End

/** The milestone that the work done in `reached` leads to; `submitted` leads to the end `finalized`. */
export const nextMilestone = (reached: Milestone): Milestone | "finalized" => JOURNEY[JOURNEY.indexOf(reached) + 1] ?? "finalized"

/** A step is named for the fact it establishes, as its folder and its actor are: `acl-checked` works on requests in `detected`. */
export type Step = Exclude<Milestone, "detected"> | "finalized"
export const stepFrom = (reached: Milestone): Step => nextMilestone(reached) as Step
export const STEPS: ReadonlyArray<Step> = JOURNEY.map(stepFrom)

/** The subject on which the step that follows `reached` receives its work, e.g. `decryption.acl-checked.do`. */
export const workSubject = (reached: Milestone) => `decryption.${reached}.do` as const

/** The subject on which the coordinator of a partition hears what became of work. */
export const outcomeSubject = (partition: number) => `decryption.outcome.${partition}` as const

/** Where messages go that nobody could read; kept for an operator. */
export const PARKED_SUBJECT = "decryption.parked"

export const isEnd = (state: RequestState): state is End => (ENDS as ReadonlyArray<string>).includes(state)
