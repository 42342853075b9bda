/** What a check is, and all of them run over one set of records (reliability.md section 2.2). */
import { leakBound } from "./c4-leak-bound.ts"
import { laneNonces } from "./c5-lane-nonces.ts"
import { liveness } from "./c6-liveness.ts"
import { nothingDoubled } from "./c2-nothing-doubled.ts"
import { nothingLost } from "./c1-nothing-lost.ts"
import { oneHistory } from "./c3-one-history.ts"
import type { Records } from "./records.ts"
import { replayable } from "./c7-replayable.ts"
import type { Finding, Verdict } from "./verdict.ts"

/** In the order of the design; the key is what reports and metrics call it. */
export const CHECKS = {
  C1: { says: "every final request on chain has a row", run: nothingLost },
  C2: { says: "every request was fulfilled at most once, and as its row says", run: nothingDoubled },
  C3: { says: "every request has one contiguous, untampered history", run: oneHistory },
  C4: { says: "no more nodes answered than may, by the nodes' own logs", run: leakBound },
  C5: { says: "the nonces of every lane are contiguous, and each serves one batch", run: laneNonces },
  C6: { says: "nobody waits for ever", run: liveness },
  C7: { says: "every stored state follows from its history", run: replayable }
} as const

export type CheckName = keyof typeof CHECKS

export interface Checked {
  readonly verdicts: Readonly<Record<CheckName, Verdict>>
  readonly violations: ReadonlyArray<Finding & { readonly check: CheckName }>
}

const NAMES = Object.keys(CHECKS) as ReadonlyArray<CheckName>

export const check = (records: Records): Checked => {
  const verdicts = Object.fromEntries(NAMES.map((name) => [name, CHECKS[name].run(records)])) as Record<CheckName, Verdict>
  return { verdicts, violations: violationsOf(verdicts) }
}

export const violationsOf = (verdicts: Checked["verdicts"]): Checked["violations"] =>
  NAMES.flatMap((name) => verdicts[name].violations.map((violation) => ({ check: name, ...violation })))
