/** Combines the shares of several requests of one committee, in one job. Nodes that lied are named, leave evidence, and are
 * replaced by others, until every request has its result or can have none. */
import { Clock, Effect } from "effect"
import type { Committee, NodeId } from "../../src/domain/committee.ts"
import { wrongShareEvidence } from "../../src/domain/evidence.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { PUBLIC_CIPHERTEXT_BYTES_MAX } from "../../src/domain/limits.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import { CiphertextRegistry } from "../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { fetchOne } from "../../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"
import type { ResultToAttest } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { Combiner, type Combined } from "../../src/journey/5-threshold-verified/combiner.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { tooFew } from "../4-shares-collected.actor.ts"
import type { NodeBeliefs } from "../kms-node.actor.ts"
import { gatherShares, holdings, type Holding } from "./gather-shares.ts"

export interface Established {
  readonly toAttest: ResultToAttest
  readonly nodes: ReadonlyArray<NodeId>
  readonly liars: ReadonlyArray<NodeId>
}

export type CombineOutcome = { readonly type: "established"; readonly result: Established } | { readonly type: "ended"; readonly outcome: StepOutcome }

const RETRY_MS = 1_000

export interface CombineOptions {
  readonly committee: Committee
  readonly beliefs: NodeBeliefs
  /** Address of the CiphertextRegistry: part of every identity. */
  readonly registry: Hex
}

export const combineShares = Effect.fnUntraced(function* (requests: ReadonlyArray<StoredRequest>, options: CombineOptions) {
  const outcomes = new Map<RequestId, CombineOutcome>()
  const liarsOf = new Map<RequestId, ReadonlyArray<NodeId>>()
  const end = (id: RequestId, outcome: StepOutcome) => outcomes.set(id, { type: "ended", outcome })

  const ciphertexts = new Map<RequestId, ReadonlyArray<Uint8Array>>()
  yield* Effect.forEach(
    requests,
    Effect.fnUntraced(function* (request) {
      const fetched = yield* ciphertextsOf(request)
      if (fetched === undefined) end(request.id, postponed("ciphertext-no-longer-at-hand"))
      else ciphertexts.set(request.id, fetched)
    }),
    { concurrency: 8, discard: true }
  )

  let open = requests.filter(({ id }) => !outcomes.has(id))
  while (open.length > 0) {
    const answers = new Map<RequestId, ReadonlyArray<ShareAnswer>>()
    const holdingOf = yield* holdings(open.map(({ id }) => id))
    // Held answers usually suffice; then nobody is asked here.
    yield* Effect.forEach(
      open,
      Effect.fnUntraced(function* (request) {
        const holding = without(liarsOf.get(request.id) ?? [], holdingOf(request.id))
        const gathered = yield* gatherShares(request, options.committee, holding, options.beliefs)
        if (gathered.isReached) answers.set(request.id, gathered.answers)
        else end(request.id, tooFew(gathered, options.committee))
      }),
      { concurrency: "unbounded", discard: true }
    )
    const ready = open.filter(({ id }) => answers.has(id))
    if (ready.length === 0) break
    const combined = yield* Combiner.use((combiner) =>
      combiner.combine(
        options.committee,
        ready.map(({ id, facts }) => ({
          requestId: id,
          request: facts,
          registry: options.registry,
          answers: answers.get(id) ?? [],
          ciphertexts: ciphertexts.get(id) ?? []
        }))
      )
    )
    const again: Array<StoredRequest> = []
    for (const [index, request] of ready.entries()) {
      const result = combined[index]
      if (result === undefined) continue
      const liars = "liars" in result ? result.liars : []
      if (liars.length > 0) {
        liarsOf.set(request.id, [...(liarsOf.get(request.id) ?? []), ...liars])
        yield* expose(request, liars, answers.get(request.id) ?? [], options)
      }
      // Every further round goes without the liars of this one, so there are at most as many as nodes.
      if (result.type === "too-few" && liars.length > 0) again.push(request)
      else if (result.type === "too-few") end(request.id, postponed("shares-do-not-combine"))
      else outcomes.set(request.id, outcomeOf(request, result, ciphertexts.get(request.id) ?? [], liarsOf.get(request.id) ?? []))
    }
    open = again
  }
  return outcomes as ReadonlyMap<RequestId, CombineOutcome>
})

/** The ledger may not have kept a liar's answer, nor its proof: a request can end at any time. */
const without = (liars: ReadonlyArray<NodeId>, { held, rejected }: Holding): Holding => ({
  held: held.filter(({ nodeId }) => !liars.includes(nodeId)),
  rejected: [...rejected, ...liars]
})

/** Public requests need the bytes here; for user requests they never leave the store. */
const ciphertextsOf = Effect.fnUntraced(function* ({ facts }: StoredRequest) {
  if (facts.kind === "user") return []
  const registry = yield* CiphertextRegistry
  const all: Array<Uint8Array> = []
  for (const record of yield* registry.records(facts.handles)) {
    if (record === undefined) return undefined
    const fetched = yield* fetchOne(record, PUBLIC_CIPHERTEXT_BYTES_MAX)
    if (fetched.type !== "fetched") return undefined
    all.push(fetched.bytes)
  }
  return all
})

const outcomeOf = (
  request: StoredRequest,
  result: Exclude<Combined, { type: "too-few" }>,
  ciphertexts: ReadonlyArray<Uint8Array>,
  liars: ReadonlyArray<NodeId>
): CombineOutcome => {
  switch (result.type) {
    case "ciphertext-malformed": {
      const detail = `${result.handle} does not open under its committee's key: ${result.reason}`
      return { type: "ended", outcome: { type: "refused", reason: "ciphertext-malformed", detail } }
    }
    case "transport-key-invalid":
      return { type: "ended", outcome: { type: "refused", reason: "transport-key-invalid", detail: "not a usable G1 point" } }
    case "public":
    case "user": {
      const sigmas = result.type === "public" ? result.sigmas : []
      const openings = sigmas.map((sigma, index) => ({ ciphertext: ciphertexts[index] ?? new Uint8Array(), sigma }))
      const toAttest: ResultToAttest = { requestId: request.id, request: request.facts, result: result.result, openings }
      return { type: "established", result: { toAttest, nodes: result.nodes, liars } }
    }
  }
}

/** The answer no longer counts, the signed proof is kept, and the node is asked no more until an operator has looked. */
const expose = Effect.fnUntraced(function* (
  request: StoredRequest,
  liars: ReadonlyArray<NodeId>,
  answers: ReadonlyArray<ShareAnswer>,
  options: CombineOptions
) {
  const ledger = yield* ShareLedger
  const telemetry = yield* Telemetry
  const foundAtMs = yield* Clock.currentTimeMillis
  for (const nodeId of liars) {
    const answer = answers.find((candidate) => candidate.nodeId === nodeId)
    options.beliefs.lied(options.committee, nodeId)
    telemetry.count("wrong_shares", 1, String(nodeId))
    if (answer === undefined) continue
    const { committee, registry } = options
    yield* ledger.reject(request.id, nodeId, wrongShareEvidence({ committee, registry, request: request.facts, answer, foundAtMs }))
    telemetry.error("a KMS node gave a wrong share", { requestId: request.id, node: nodeId, runbook: "docs/runbooks/shares-collected.md" })
  }
})

const postponed = (reason: string): StepOutcome => ({ type: "postponed", reason, retryAfterMs: RETRY_MS })
