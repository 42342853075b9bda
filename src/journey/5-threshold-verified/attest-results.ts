/** Has k nodes attest results, each node checking them for itself, and makes of their parts the bytes that the contract verifies. */
import { Effect, Result, Schema } from "effect"
import { nodeOf, type Committee, type NodeId } from "../../domain/committee.ts"
import type { Fate } from "../../domain/fate.ts"
import { fromHex, toHex, type Hex } from "../../domain/hex.ts"
import { attestationDigest, responseLeaf, resultHashOf, type AttestedBatch, type AttestedRoot } from "../../domain/response.ts"
import { merkleRoot } from "../../threshold/merkle.ts"
import { AnswerInvalid, NodeRefused, NodeUnavailable, ShareNodes, type NodeError, type ResultToAttest } from "../4-shares-collected/share-node.port.ts"
import { Combiner } from "./combiner.port.ts"

/** Fewer than k nodes attested. `refusals`: nodes that looked and disagreed, so that a batch is worth splitting to find which result. */
export class NotAttested extends Schema.TaggedError<NotAttested>()("NotAttested", {
  reason: Schema.String,
  refusals: Schema.Int,
  /** What each node said that did not attest. */
  failures: Schema.Array(Schema.Union([NodeUnavailable, NodeRefused, AnswerInvalid]))
}) {
  readonly fate: Fate = "retry"
}

export interface Attested {
  readonly batch: AttestedBatch
  readonly nodes: ReadonlyArray<NodeId>
  readonly liars: ReadonlyArray<NodeId>
}

export interface ToAttest {
  readonly committee: Committee
  readonly chainId: bigint
  readonly gateway: Hex
  /** 1..32, all of the committee's epoch. */
  readonly results: ReadonlyArray<ResultToAttest>
  /** Every node of the committee, best first. */
  readonly ranked: ReadonlyArray<NodeId>
}

interface Part {
  readonly nodeId: NodeId
  readonly part: Uint8Array
}

/** Asks the k best nodes at once and the next best for each that fails, until k parts make a whole or nobody is left. */
export const attestResults = Effect.fnUntraced(function* (of: ToAttest) {
  const { committee } = of
  const attested = rootOf(of)
  const parts = new Map<NodeId, Part>()
  const liars: Array<NodeId> = []
  const failures: Array<NodeError> = []
  let waiting = [...of.ranked]

  for (;;) {
    const missing = committee.threshold - parts.size
    const asked = waiting.slice(0, missing)
    if (asked.length < missing) return yield* notAttested(failures, liars)
    waiting = waiting.slice(missing)
    const heard = yield* Effect.forEach(asked, (nodeId) => Effect.result(askForPart(committee, nodeId, attested, of.results)), {
      concurrency: "unbounded"
    })
    for (const answer of heard) {
      if (Result.isSuccess(answer)) parts.set(answer.success.nodeId, answer.success)
      else failures.push(answer.failure)
    }
    if (parts.size < committee.threshold) continue
    const whole = yield* combineParts(of, attested, [...parts.values()])
    if (whole.attestation !== undefined) {
      const batch: AttestedBatch = {
        attested,
        chainId: of.chainId,
        gateway: of.gateway,
        attestation: whole.attestation,
        responses: of.results.map(({ requestId, result }) => ({ requestId, result }))
      }
      return { batch, nodes: [...parts.keys()], liars } satisfies Attested
    }
    if (whole.liars.length === 0) return yield* notAttested(failures, liars) // k parts, no whole, nobody to blame: asking again cannot help
    for (const liar of whole.liars) {
      parts.delete(liar)
      liars.push(liar)
    }
  }
})

/** Merkle root over the results in order; the attestation lives as long as the longest-lived of them. */
const rootOf = (of: ToAttest): AttestedRoot => ({
  root: toHex(merkleRoot(of.results.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result)))))),
  count: of.results.length,
  epoch: of.committee.epoch,
  expiry: Math.max(...of.results.map(({ request }) => request.deadline))
})

const askForPart = (committee: Committee, nodeId: NodeId, attested: AttestedRoot, results: ReadonlyArray<ResultToAttest>) =>
  ShareNodes.use((nodes) => nodes.attest(nodeOf(committee, nodeId), attested, results)).pipe(
    Effect.map((part): Part => ({ nodeId, part }))
  )

const combineParts = Effect.fnUntraced(function* (of: ToAttest, attested: AttestedRoot, parts: ReadonlyArray<Part>) {
  if (of.committee.scheme === "quorum") return { attestation: bySigner(of.committee, parts), liars: [] }
  const combiner = yield* Combiner
  const combined = yield* combiner.combineAttestation(of.committee, attestationDigest(of, attested), parts)
  return combined.type === "attested"
    ? { attestation: combined.attestation, liars: combined.liars }
    : { attestation: undefined, liars: combined.liars }
})

/** The contract wants the k signatures in ascending order of their signers' addresses. */
const bySigner = (committee: Committee, parts: ReadonlyArray<Part>): Uint8Array =>
  new Uint8Array(
    Buffer.concat(
      parts
        .map(({ nodeId, part }) => ({ signer: nodeOf(committee, nodeId).identity, part }))
        .toSorted((a, b) => (a.signer < b.signer ? -1 : 1))
        .map(({ part }) => part)
    )
  )

const notAttested = (failures: ReadonlyArray<NodeError>, liars: ReadonlyArray<NodeId>) => {
  const said = failures.map((failure) => `node ${failure.nodeId}: ${failure.reason}`)
  const lied = liars.map((liar) => `node ${liar}: wrong part`)
  const refusals = failures.filter((failure) => failure._tag === "NodeRefused").length
  return new NotAttested({ reason: [...said, ...lied].join("; ") || "no nodes", refusals, failures })
}
