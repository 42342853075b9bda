/** `portcullis request redrive`: sends a request that halted on its way again, once what it halted for has been mended. Who and why is kept for ever
 * in its history. Where it goes on is the machine's decision, never the operator's (docs/adr/0024). */
import { Clock, Duration, Effect } from "effect"
import { userInfo } from "node:os"
import { contextOf, knowsMachineVersion, MACHINE_VERSION } from "../../machines/decide.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { seenState } from "../cluster-view.ts"
import { requestIdFrom, withLedger } from "../ledger-access.ts"
import { failed, runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface RedriveFlags extends CommandFlags {
  readonly why: string
}

const LOOK_MS = 100
/** A coordinator reads signals every second or two, and a partition may have to change hands first. */
const PATIENCE_MS = 15_000

export const requestRedrive = (id: string, flags: RedriveFlags): Promise<void> =>
  runCommand(flags, Effect.flatMap(requestIdFrom(id), (requestId) => withLedger(flags, redriveAnswer(requestId, flags.why))))

const redriveAnswer = Effect.fnUntraced(function* (id: RequestId, why: string) {
  const ledger = yield* RequestLedger
  const [stored] = yield* ledger.load([id])
  if (stored === undefined) return yield* failed("the ledger has no such request", "Not detected yet, raised on another chain, or another database: portcullis doctor")
  yield* checkRedrivable(stored)
  yield* checkSomebodyCan
  const by = userInfo().username
  yield* ledger.signal(id, { type: "redriven", by, why })
  const to = yield* whereItWent(stored)
  return {
    json: { requestId: id, redriven: true, by, why, goesOnFrom: to },
    lines: [`redriven   ${id}`, `by         ${by}: ${why}`, `goes on    from ${to}`, `next       portcullis request watch ${id}`]
  } satisfies Answer
})

const checkRedrivable = Effect.fnUntraced(function* (stored: StoredRequest) {
  const { id, state, machineVersion, facts } = stored
  if (state !== "halted") {
    return yield* failed(`the request is ${state}: only one that halted can be redriven`, `portcullis request show ${id}`)
  }
  if (!knowsMachineVersion(machineVersion)) return yield* failed("a newer build wrote this request", "Use the command of that build.")
  const { root, submission } = contextOf(stored).known
  const nowSeconds = (yield* Clock.currentTimeMillis) / 1_000
  // Past the deadline only the chain could still have an answer, and only if something was sent.
  if (nowSeconds > facts.deadline && root === undefined && submission === undefined) {
    const at = new Date(facts.deadline * 1_000).toISOString()
    return yield* failed(`its deadline passed at ${at}: the contract would refuse its result`, "Its requester may ask again, under another salt.")
  }
})

/** A coordinator of an older build does not know the signal and would drop it. */
const checkSomebodyCan = Effect.gen(function* () {
  const nodes = yield* Cluster.use((cluster) => cluster.nodes)
  const coordinators = nodes.filter((node) => seenState(node) !== "gone" && node.roles.includes("coordinator"))
  if (coordinators.length === 0 || coordinators.some(({ machineVersions }) => machineVersions.includes(MACHINE_VERSION))) return
  yield* failed("every coordinator that runs is of an older build, which cannot redrive", "Upgrade one first: portcullis cluster status")
})

/** The state to which the very next decision led. */
const whereItWent = Effect.fnUntraced(function* ({ id, version }: StoredRequest) {
  const ledger = yield* RequestLedger
  const untilMs = (yield* Clock.currentTimeMillis) + PATIENCE_MS
  while ((yield* Clock.currentTimeMillis) < untilMs) {
    const next = (yield* ledger.history(id)).find(({ seq }) => seq === version + 1)
    if (next !== undefined) return next.to
    yield* Effect.sleep(Duration.millis(LOOK_MS))
  }
  const waits = "The order waits in the ledger, and the next coordinator that runs obeys it."
  return yield* failed(`no coordinator has redriven it within ${PATIENCE_MS / 1_000} s`, `${waits} portcullis cluster status`)
})
