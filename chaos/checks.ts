/** The checkers C1 to C7 of bin/verify, as a campaign counts them. */
import { check, CHECKS, type CheckName } from "../bin/verify/check.ts"
import type { Records } from "../bin/verify/records.ts"
import type { Check } from "./campaign.ts"

export const checkRecords = (records: Records): ReadonlyArray<Check> => {
  const { verdicts } = check(records)
  return (Object.keys(CHECKS) as ReadonlyArray<CheckName>).map((name) => {
    const { looked, violations } = verdicts[name]
    return { name, examined: looked, violations: violations.map(({ subject, what }) => `${subject} ${what}`) }
  })
}
