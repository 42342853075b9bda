/** `portcullis evidence verify`: the judge of an evidence file, on any machine. With a chain, the file has to agree with the committee record
 * there. Without one it judges under the record in the file, and that proves nothing to anybody: whoever forges a record with keys of his own,
 * and leaves an honest node's identity in it, makes that node's honest answers look wrong. */
import { Effect, type Scope } from "effect"
import { readCommittee } from "../../src/adapters/ethereum/committees.layer.ts"
import { startEngine } from "../../src/adapters/worker-threads/engine-choice.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { readEvidence, type WrongShareEvidence } from "../../src/domain/evidence.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { verifyEvidence, type EvidenceAnchor, type EvidenceVerdict, type NotProved } from "../../src/kms-node/verify-evidence.ts"
import { rpcAt, isHttpUrl, settingsOf } from "../client-access.ts"
import { Problems, readContracts } from "../gateway-from-settings.ts"
import { readJson } from "../key-file.ts"
import { preferredUrl } from "../rpc-endpoints.ts"
import { attempt, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface VerifyFlags extends CommandFlags {
  readonly rpc?: string
  readonly deployment?: string
  readonly offline?: true
}

export const evidenceVerify = (file: string, flags: VerifyFlags): Promise<void> => runCommand(flags, verifyAnswer(file, flags))

const verifyAnswer = Effect.fnUntraced(function* (file: string, flags: VerifyFlags): Effect.fn.Return<Answer, unknown, Scope.Scope> {
  const evidence = readEvidence(yield* attempt(() => readJson("<file>", file)))
  if (evidence === undefined) return yield* usage("<file> is not an evidence file of this version")
  const { anchor, vouchedBy } = yield* anchorOf(evidence, flags)
  const engine = yield* Effect.promise(() => startEngine("noble"))
  const verdict = verifyEvidence(engine, evidence, anchor)
  const trust = vouchedBy === "chain" ? `the committee registry of chain ${anchor.chainId}` : "the record in the file: give --rpc and --deployment for the chain's"
  return {
    json: { ...verdict, vouchedBy, foundAtMs: evidence.foundAtMs },
    lines: [...verdictLines(verdict, vouchedBy), `record     ${trust}`],
    exitCode: verdict.type === "proved" && vouchedBy === "chain" ? 0 : 1
  }
})

interface Anchored {
  readonly anchor: EvidenceAnchor
  readonly vouchedBy: "chain" | "file"
}

const anchorOf = Effect.fnUntraced(function* (evidence: WrongShareEvidence, flags: VerifyFlags): Effect.fn.Return<Anchored, unknown, Scope.Scope> {
  const settings = yield* settingsOf(flags)
  const rpcUrl = flags.offline === true ? undefined : (flags.rpc ?? preferredUrl(settings))
  const deployment = flags.offline === true ? undefined : (flags.deployment ?? settings.PORTCULLIS_DEPLOYMENT_FILE)
  if (rpcUrl === undefined && deployment === undefined) return { anchor: ownAnchor(evidence), vouchedBy: "file" }
  if (rpcUrl === undefined || deployment === undefined) return yield* usage("--rpc and --deployment are given together, or neither")
  if (!isHttpUrl(rpcUrl)) return yield* usage("--rpc must be an http or https URL")
  const problems = new Problems()
  const contracts = readContracts(problems, deployment)
  if (problems.found.length > 0) return yield* usage("--deployment must name a deployment file, as `portcullis dev` writes it")
  const rpc = yield* rpcAt(rpcUrl)
  if (rpc.chainId !== contracts.chainId) {
    return yield* usage(`the endpoint speaks for chain ${rpc.chainId}, the deployment file is about chain ${contracts.chainId}`)
  }
  const committee = yield* readCommittee(rpc, contracts, evidence.request.epoch)
  const { chainId, decryptionGateway: gateway, ciphertextRegistry: registry } = contracts
  return { anchor: { chainId, gateway, registry, committee }, vouchedBy: "chain" }
})

/** The file's own word. A forged file can agree with itself, so the verdict says where the record is from. */
const ownAnchor = (evidence: WrongShareEvidence): EvidenceAnchor => ({
  chainId: BigInt(evidence.chainId),
  gateway: evidence.gateway as Hex,
  registry: evidence.registry as Hex,
  committee: evidence.committee as Committee
})

const WHY_NOT: Readonly<Record<NotProved, string>> = {
  "request-malformed": "the file is about a request that no node would answer",
  "anchor-differs": "the file is about another chain, gateway, registry or committee record",
  "anchor-unusable": "the committee record cannot be used",
  "node-unknown": "the committee has no such node",
  "signature-not-the-nodes": "the node's identity did not sign this",
  "transport-key-invalid": "the request's transport key is no point, so there is nothing to compare with",
  "shares-right": "the shares are right: the node told the truth"
}

const verdictLines = (verdict: EvidenceVerdict, vouchedBy: Anchored["vouchedBy"]): ReadonlyArray<string> =>
  verdict.type === "not-proved"
    ? [`NOT PROVED ${WHY_NOT[verdict.reason]}`]
    : [
        `${vouchedBy === "chain" ? "PROVED    " : "UNVOUCHED "} node ${verdict.nodeId} (${verdict.identity}) signed ${wrongIn(verdict.wrong)}`,
        `request    ${verdict.requestId}`
      ]

const wrongIn = (wrong: Extract<EvidenceVerdict, { readonly type: "proved" }>["wrong"]): string =>
  wrong === "wrong length" ? "shares of the wrong length" : `a wrong share for handle ${wrong.handleIndex + 1} of the request`
