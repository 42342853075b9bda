/** C4: no share left a node that was not recorded as asked, and before the access check no more than k - 1 nodes answered. It reads the
 * nodes' own logs: the gateway's table cannot show an ask that it forgot to write down. A failover of the database may have made it forget
 * some that were written down: what nodes answered until then is not judged by what is missing, and the verdict says how many that are. */
import type { NodeId } from "../../src/domain/committee.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import type { Records } from "./records.ts"
import type { Finding, Verdict } from "./verdict.ts"

/** The nodes' clocks against the database's. Nodes refuse requests from beyond it themselves. */
const CLOCKS_APART_MS_MAX = 2_000

interface Answer {
  readonly node: NodeId
  readonly atMs: number
}

export const leakBound = ({ requests, nodes, thresholds, lostUntilMs }: Records): Verdict => {
  const judgedFromMs = lostUntilMs === null ? Number.NEGATIVE_INFINITY : lostUntilMs + CLOCKS_APART_MS_MAX
  const overBudget = requests.flatMap(({ stored, asked }): ReadonlyArray<Finding> =>
    asked !== null && asked.nodes.length > asked.budget
      ? [{ subject: stored.id, what: `${asked.nodes.length} nodes are recorded as asked, and ${asked.budget} may be` }]
      : []
  )
  if (nodes === null) return { looked: 0, violations: overBudget, unchecked: "no KMS node's own log was given" }
  const answers = new Map<RequestId, Array<Answer>>()
  let unjudged = 0
  for (const { node, answers: given } of nodes) {
    for (const { requestId, atMs } of given) {
      if (atMs < judgedFromMs) {
        unjudged += 1
        continue
      }
      const known = answers.get(requestId)
      if (known === undefined) answers.set(requestId, [{ node, atMs }])
      else known.push({ node, atMs })
    }
  }
  return {
    ...(lostUntilMs !== null && unjudged > 0 && { unchecked: `${unjudged} answers before ${new Date(judgedFromMs).toISOString()}, when the database failed over` }),
    looked: [...answers.values()].reduce((sum, given) => sum + given.length, 0),
    violations: [
      ...overBudget,
      ...requests.flatMap((request) => leaks(request, answers.get(request.stored.id) ?? [], thresholds.get(request.stored.facts.epoch)))
    ]
  }
}

const leaks = ({ stored, history, asked }: AuditedRequest, answers: ReadonlyArray<Answer>, k: number | undefined): ReadonlyArray<Finding> => {
  const subject = stored.id
  if (answers.length === 0) return []
  if (k === undefined) return [{ subject, what: `shares were given out under epoch ${stored.facts.epoch}, which nobody knows` }]
  const unrecorded = [...new Set(answers.map(({ node }) => node))].filter((node) => asked?.nodes.includes(node) !== true)
  const checkedAtMs = history.find(({ to }) => to === "acl-checked")?.atMs ?? Number.POSITIVE_INFINITY
  const early = new Set(answers.filter(({ atMs }) => atMs < checkedAtMs - CLOCKS_APART_MS_MAX).map(({ node }) => node))
  return [
    ...(unrecorded.length > 0 ? [{ subject, what: `node ${unrecorded.join(", ")} answered, and the ledger does not say that it was asked` }] : []),
    ...(early.size > k - 1 ? [{ subject, what: `${early.size} nodes answered before the access check; at most ${k - 1} may` }] : [])
  ]
}
