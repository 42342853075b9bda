/** C5: in every lane the nonces run without a gap up to the next one, but for those that a final block has used up with bytes that are not
 * ours (an operator's own transfer, say): nothing waits for them. Each nonce has attempts, and all attempts at it carry one batch. */
import type { AuditedLane } from "../../src/ledger/audit-ledger.port.ts"
import { laneNameOf, type Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

export const laneNonces = ({ lanes, chain }: Records): Verdict => ({
  looked: lanes.reduce((sum, { slots }) => sum + slots.length, 0),
  violations: lanes.flatMap((lane) => [...gaps(lane, chain.finalNonces.get(laneNameOf(lane.lane)) ?? 0), ...lane.slots.flatMap((slot) => attemptFaults(lane, slot))])
})

const gaps = (lane: AuditedLane, usedUp: number): ReadonlyArray<Finding> => {
  const nonces = [...lane.slots.map(({ nonce }) => nonce), lane.nextNonce]
  return nonces.flatMap((nonce, index) => {
    const before = nonces[index - 1]
    const isHole = before !== undefined && nonce !== before + 1 && (nonce <= before || nonce > usedUp)
    return isHole ? [{ subject: laneNameOf(lane.lane), what: `nonce ${before} is followed by ${nonce}` }] : []
  })
}

const attemptFaults = (lane: AuditedLane, { nonce, root, attempts }: AuditedLane["slots"][number]): ReadonlyArray<Finding> => {
  const subject = laneNameOf(lane.lane)
  const numbers = attempts.map(({ attemptNo }) => attemptNo)
  const foreign = attempts.filter((attempt) => attempt.root !== root)
  return [
    ...(attempts.length === 0 ? [{ subject, what: `nonce ${nonce} has no attempt` }] : []),
    ...(numbers.some((number, index) => number !== index) ? [{ subject, what: `the attempts at nonce ${nonce} are numbered ${numbers.join(", ")}` }] : []),
    ...(foreign.length > 0 ? [{ subject, what: `nonce ${nonce} carries ${root}, and an attempt at it carries ${foreign[0]?.root}` }] : [])
  ]
}
