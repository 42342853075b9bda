/** `portcullis evidence list` and `evidence export`: the proofs against nodes that the ledger keeps. */
import { Effect } from "effect"
import { readEvidence, requestOfEvidence, type WrongShareEvidence } from "../../src/domain/evidence.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import { writeNew } from "../key-file.ts"
import { requestIdFrom, withLedger } from "../ledger-access.ts"
import { attempt, failed, printLine, runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface EvidenceListFlags extends CommandFlags {
  readonly limit: number
}

export interface EvidenceExportFlags extends CommandFlags {
  readonly out?: string
}

/** Evidence is rare; a ledger with more than this has other troubles. */
const SEARCHED_MAX = 10_000

export const evidenceList = (flags: EvidenceListFlags): Promise<void> => runCommand(flags, withLedger(flags, listAnswer(flags.limit)))

export const evidenceExport = (request: string, node: number, flags: EvidenceExportFlags): Promise<void> =>
  runCommand(flags, withLedger(flags, exportAnswer(request, node, flags)))

const listAnswer = Effect.fnUntraced(function* (limit: number) {
  const kept = yield* readable(limit)
  const summaries = kept.map(summaryOf)
  return {
    json: { evidence: summaries },
    lines: [
      ...summaries.map(({ requestId, nodeId, identity, foundAtMs }) => `${new Date(foundAtMs).toISOString()}  node ${nodeId}  ${identity}  request ${requestId}`),
      ...(summaries.length === 0 ? ["no evidence: no node was caught lying"] : ["next       portcullis evidence export <request> <node>"])
    ]
  } satisfies Answer
})

const exportAnswer = Effect.fnUntraced(function* (request: string, node: number, { out }: EvidenceExportFlags) {
  const id = yield* requestIdFrom(request)
  const found = (yield* readable(SEARCHED_MAX)).find((one) => one.nodeId === node && requestIdOf(requestOfEvidence(one)) === id)
  if (found === undefined) return yield* failed(`the ledger keeps no evidence against node ${node} for this request`, "portcullis evidence list")
  const text = JSON.stringify(found, undefined, 2)
  if (out === undefined) {
    printLine(text)
    return { json: undefined, lines: [] } satisfies Answer
  }
  yield* attempt(() => writeNew("--out", out, `${text}\n`))
  return { json: { file: out, ...summaryOf(found) }, lines: [`evidence   ${out}`, `next       portcullis evidence verify ${out}`] } satisfies Answer
})

const readable = (limit: number) =>
  ShareLedger.use((shares) => shares.evidence(limit)).pipe(Effect.map((files) => files.flatMap((file) => readEvidence(file) ?? [])))

const summaryOf = (evidence: WrongShareEvidence) => ({
  requestId: requestIdOf(requestOfEvidence(evidence)),
  nodeId: evidence.nodeId,
  identity: evidence.committee.nodes.find(({ id }) => id === evidence.nodeId)?.identity ?? "?",
  foundAtMs: evidence.foundAtMs
})
