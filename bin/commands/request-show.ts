/** `portcullis request show`: everything the ledger knows about one request, with the evidence of every transition, and whether the history is
 * the one that was written. */
import { Effect } from "effect"
import { waitingReason } from "../../src/adapters/postgres/waiting-reason.ts"
import { isEnd } from "../../src/domain/journey.ts"
import type { TransitionView } from "../../src/domain/outcome.ts"
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import { evidenceOf } from "../../src/telemetry/evidence.ts"
import { requestIdFrom, withLedger } from "../ledger-access.ts"
import { failed, runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export const requestShow = (id: string, flags: CommandFlags): Promise<void> =>
  runCommand(flags, Effect.flatMap(requestIdFrom(id), (requestId) => withLedger(flags, showAnswer(requestId))))

const showAnswer = Effect.fnUntraced(function* (id: Effect.Success<ReturnType<typeof requestIdFrom>>) {
  const ledger = yield* RequestLedger
  // The tail first: a history that grows in between is longer than the tail says, never shorter.
  const [stored] = yield* ledger.load([id])
  if (stored === undefined) return yield* failed("the ledger has no such request", "Not detected yet, raised on another chain, or another database: portcullis doctor")
  const history = (yield* ledger.history(id)).filter(({ seq }) => seq <= stored.version)
  const integrity = verifyHistory(id, history, stored.chainTail)
  const liars = (yield* ShareLedger.use((shares) => shares.rejectedNodes([id]))).get(id) ?? []
  const waiting = isEnd(stored.state) ? undefined : yield* waitingReason(id)
  const { facts, anchor } = stored
  const startMs = history[0]?.atMs ?? stored.detectedAtMs
  return {
    json: {
      ...{ requestId: id, state: stored.state, version: stored.version, kind: facts.kind, chainId: facts.chainId.toString(), gateway: facts.gateway },
      ...{ requester: facts.requester, account: facts.account, epoch: facts.epoch, deadline: facts.deadline, callbackGas: facts.callbackGas },
      ...{ handles: facts.handles, anchor, detectedAtMs: stored.detectedAtMs, waiting: waiting ?? null, liars, integrity, history }
    },
    lines: [
      `request    ${id}`,
      `state      ${stored.state}${waiting === undefined ? "" : `; tried last without success: ${waiting}`}`,
      `kind       ${facts.kind}, ${facts.handles.length} handle${facts.handles.length === 1 ? "" : "s"}, epoch ${facts.epoch}`,
      ...facts.handles.map((handle) => `           ${handle}`),
      `requester  ${facts.requester}${facts.account === facts.requester || facts.kind === "public" ? "" : ` for ${facts.account}`}`,
      `deadline   ${new Date(facts.deadline * 1_000).toISOString()}`,
      `raised in  block ${anchor.blockNumber} of chain ${facts.chainId}`,
      ...liars.map((node) => `liar       node ${node}: portcullis evidence export ${id} ${node}`),
      ...history.flatMap((row) => transitionLines(row, startMs)),
      `history    ${
        integrity.type === "intact"
          ? `intact: ${history.length} transitions, hash ${stored.chainTail}`
          : `TAMPERED: row ${integrity.brokenAt} does not follow from the rows before it`
      }`
    ],
    exitCode: integrity.type === "intact" ? 0 : 1
  } satisfies Answer
})

const transitionLines = ({ seq, to, event, atMs, worker }: TransitionView, startMs: number): ReadonlyArray<string> => [
  `${String(seq).padStart(3)}  ${new Date(atMs).toISOString()}  ${`+${atMs - startMs} ms`.padStart(9)}  ${to.padEnd(18)}  by ${worker}`,
  ...evidenceLines(event)
]

const evidenceLines = (event: TransitionView["event"]): ReadonlyArray<string> =>
  Object.entries(event.type === "detected" && "anchor" in event ? { ...event.anchor } : evidenceOf(event as Parameters<typeof evidenceOf>[0]))
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `       ${name}: ${String(value)}`)
