/** `portcullis cluster reconcile`: an operator says that commits may be lost (a backup was restored, a disk was set back). Begins a new history of
 * the database, which the gateways then compare with the chain as after a failover; with --dry-run it only says what that would be. */
import { Effect } from "effect"
import { userInfo } from "node:os"
import { doesStep } from "../../src/domain/cluster.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { isReconciled, Timeline } from "../../src/ledger/timeline.port.ts"
import { seenState } from "../cluster-view.ts"
import { withLedger } from "../ledger-access.ts"
import { failed, runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface ReconcileFlags extends CommandFlags {
  readonly why: string
  readonly dryRun?: true
}

const NEXT = "portcullis cluster status"

export const clusterReconcile = (flags: ReconcileFlags): Promise<void> => runCommand(flags, withLedger(flags, reconcileAnswer(flags)))

const reconcileAnswer = Effect.fnUntraced(function* ({ why, dryRun }: ReconcileFlags) {
  const timeline = yield* Timeline
  const by = userInfo().username
  const seen = yield* timeline.look
  if (!isReconciled(seen)) return yield* failed(`what ${seen.here} may have lost is being compared with the chain already`, NEXT)
  const plan = yield* planned
  const lines = [
    `leases     ${plan.leases} are taken away and given anew, with epochs beyond all that may be lost`,
    `requests   ${plan.onTheirWay} whose results are on their way ask the chain`,
    ...plan.lanes.map(({ lane, nextNonce, open }) => `lane       ${lane} is compared from nonce ${nextNonce ?? "0"} on; ${open} of its transactions are open`),
    "blocks     the last final ones are read again (PORTCULLIS_RESCAN_BLOCKS)",
    "C4         what nodes answered before now is not judged any more by portcullis verify",
    plan.senders.length > 0
      ? `done by    ${plan.senders.join(", ")}, whichever is first`
      : "done by    NOBODY: no living node has the role sender. Lanes wait until one starts"
  ]
  const json = { history: seen.here, ...plan, by, why }
  if (dryRun === true) {
    return {
      json: { ...json, dryRun: true },
      lines: [`would      begin a new history after ${seen.here}: lanes send nothing until this is done`, ...lines, "nothing was changed"]
    } satisfies Answer
  }
  if (!(yield* timeline.order({ by, why }))) return yield* failed("somebody else began to compare the database with the chain in this moment", NEXT)
  const { here } = yield* timeline.look
  return {
    json: { ...json, began: here },
    lines: [`began      ${here} after ${seen.here}: lanes send nothing until this is done`, ...lines, `by         ${by}: ${why}`, `next       ${NEXT}`]
  } satisfies Answer
})

const planned = Effect.gen(function* () {
  const [holders, nodes, lanes, states] = yield* Effect.all([
    Leases.use((leases) => leases.holders),
    Cluster.use((cluster) => cluster.nodes),
    LaneLedger.use((ledger) => ledger.lanes(0)),
    RequestLedger.use((ledger) => ledger.countByState)
  ])
  const living = nodes.filter((node) => seenState(node) !== "gone")
  return {
    leases: holders.length,
    onTheirWay: (states["threshold-verified"] ?? 0) + (states.submitted ?? 0),
    lanes: lanes.map(({ chainId, address, nextNonce, slots }) => ({ lane: `${chainId}/${address}`, nextNonce, open: slots.length })),
    senders: living.filter(({ roles }) => doesStep(new Set(roles), "submitted")).map(({ worker }) => worker)
  }
})
