/** C7: a request's stored snapshot is what the machine makes of its history, event by event. */
import { birth, decide, knowsMachineVersion, MACHINE_VERSION, migrate } from "../../machines/decide.ts"
import { canonicalJson } from "../../src/ledger/hash-chain.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import type { Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

export const replayable = ({ requests }: Records): Verdict => {
  const known = requests.filter(({ stored }) => knowsMachineVersion(stored.machineVersion))
  const newer = requests.length - known.length
  return {
    looked: known.length,
    violations: known.flatMap(divergence),
    ...(newer > 0 ? { unchecked: `${newer} requests have snapshots of a newer build` } : {})
  }
}

const divergence = ({ stored, history }: AuditedRequest): ReadonlyArray<Finding> => {
  const subject = stored.id
  const [first, ...later] = history
  if (first?.event.type !== "detected") return [{ subject, what: "its history does not begin with its detection" }]
  let snapshot = birth(first.event.anchor).snapshot
  for (const { seq, from, to, event } of later) {
    if (event.type === "detected") return [{ subject, what: `transition ${seq} is a second birth` }]
    const decision = decide({ snapshot, machineVersion: MACHINE_VERSION }, event)
    if (decision.type === "ignored") return [{ subject, what: `transition ${seq} records ${event.type}, which the machine ignores in ${String(from)}` }]
    if (decision.from !== from || decision.to !== to) {
      return [{ subject, what: `transition ${seq} leads from ${String(from)} to ${to}; the machine leads from ${decision.from} to ${decision.to}` }]
    }
    snapshot = decision.snapshot
  }
  return canonicalJson(migrate(stored)) === canonicalJson(snapshot) ? [] : [{ subject, what: "its stored snapshot does not follow from its history" }]
}
