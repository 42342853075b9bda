/** C5: in every lane the nonces run without a gap up to the next one; each has attempts, and all attempts at a nonce carry one batch. */
import type { AuditedLane } from "../../src/ledger/audit-ledger.port.ts"
import type { Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

export const laneNonces = ({ lanes }: Records): Verdict => ({
  looked: lanes.reduce((sum, { slots }) => sum + slots.length, 0),
  violations: lanes.flatMap((lane) => [...gaps(lane), ...lane.slots.flatMap((slot) => attemptFaults(lane, slot))])
})

const nameOf = ({ lane }: AuditedLane): string => `lane ${lane.chainId}/${lane.address}`

const gaps = (lane: AuditedLane): ReadonlyArray<Finding> => {
  const nonces = [...lane.slots.map(({ nonce }) => nonce), lane.nextNonce]
  return nonces.flatMap((nonce, index) => {
    const before = nonces[index - 1]
    return before === undefined || nonce === before + 1 ? [] : [{ subject: nameOf(lane), what: `nonce ${before} is followed by ${nonce}` }]
  })
}

const attemptFaults = (lane: AuditedLane, { nonce, root, attempts }: AuditedLane["slots"][number]): ReadonlyArray<Finding> => {
  const subject = nameOf(lane)
  const numbers = attempts.map(({ attemptNo }) => attemptNo)
  const foreign = attempts.filter((attempt) => attempt.root !== root)
  return [
    ...(attempts.length === 0 ? [{ subject, what: `nonce ${nonce} has no attempt` }] : []),
    ...(numbers.some((number, index) => number !== index) ? [{ subject, what: `the attempts at nonce ${nonce} are numbered ${numbers.join(", ")}` }] : []),
    ...(foreign.length > 0 ? [{ subject, what: `nonce ${nonce} carries ${root}, and an attempt at it carries ${foreign[0]?.root}` }] : [])
  ]
}
