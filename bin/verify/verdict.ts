/** What a check answers: how much it looked at and what was wrong; or why it could not look. */
export interface Finding {
  /** A request id, a lane: where to look. */
  readonly subject: string
  readonly what: string
}

export interface Verdict {
  /** Requests, nonces or answers that were looked at. 0 proves nothing, and reports say so. */
  readonly looked: number
  readonly violations: ReadonlyArray<Finding>
  /** Violations beyond those that are named. */
  readonly more?: number
  /** Why it was not checked, or not wholly. */
  readonly unchecked?: string
}
