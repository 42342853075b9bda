/** The ledger could not be reached or refused the statement. What was asked may or may not have been written: read again before acting. */
import { Schema } from "effect"
import type { Fate } from "../domain/fate.ts"

export class LedgerUnavailable extends Schema.TaggedError<LedgerUnavailable>()("LedgerUnavailable", {
  doing: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
  override get message(): string {
    return this.cause instanceof Error ? `could not ${this.doing}: ${this.cause.message}` : `could not ${this.doing}`
  }
}
