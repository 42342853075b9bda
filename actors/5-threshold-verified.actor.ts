/** shares-collected -> threshold-verified, for up to 32 requests at once: combine and verify, decrypt or combine encrypted,
 * have the committee attest what came out, and keep the attested results sealed in the ledger. Results never leave by the
 * bus. */
import { Effect } from "effect"
import type { Committee } from "../src/domain/committee.ts"
import type { Hex } from "../src/domain/hex.ts"
import type { StepOutcome } from "../src/domain/outcome.ts"
import type { RequestId } from "../src/domain/request.ts"
import { resultHashOf, type AttestedBatch } from "../src/domain/response.ts"
import { Committees } from "../src/journey/4-shares-collected/committee.port.ts"
import { attestResults } from "../src/journey/5-threshold-verified/attest-results.ts"
import { fitBatches } from "../src/journey/5-threshold-verified/fit-batches.ts"
import { ResultLedger } from "../src/ledger/result-ledger.port.ts"
import type { StoredRequest } from "../src/ledger/stored-request.ts"
import { tooFew } from "./4-shares-collected.actor.ts"
import type { NodeBeliefs } from "./kms-node.actor.ts"
import { combineShares, type Established } from "./runtime/combine-shares.ts"
import { orWhatTheChainSays } from "./runtime/or-what-the-chain-says.ts"
import { outcomeOfFailure } from "./runtime/outcome-of-failure.ts"
import { stepActor } from "./runtime/step-actor.ts"
import { placeOf } from "./runtime/supervise.ts"

export interface VerifyOptions {
  readonly concurrency: number
  readonly beliefs: NodeBeliefs
  /** Address of the CiphertextRegistry: part of every identity. */
  readonly registry: Hex
}

type Outcomes = ReadonlyMap<RequestId, StepOutcome>

export const thresholdVerifiedActor = (options: VerifyOptions) =>
  stepActor("shares-collected", options.concurrency, (requests) =>
    Effect.forEach([...Map.groupBy(requests, ({ facts }) => facts.epoch)], ([epoch, some]) => verifyApart(epoch, some, options)).pipe(
      Effect.map((all) => new Map(all.flatMap((outcomes) => [...outcomes]))),
      Effect.map((outcomes) => requests.map(({ id }) => outcomes.get(id) ?? null))
    )
  )

/** A failure concerns everybody. A defect is our bug: whom it strikes is found by halves and halted, and the others go on. */
const verifyApart = (
  epoch: number,
  requests: ReadonlyArray<StoredRequest>,
  options: VerifyOptions
): Effect.Effect<Outcomes, never, Effect.Services<ReturnType<typeof verifyEpoch>>> =>
  verifyEpoch(epoch, requests, options).pipe(
    Effect.catch((error) =>
      Effect.map(
        Effect.forEach(requests, (request) => Effect.map(outcomeOfFailure(error, request), (outcome) => [request.id, outcome] as const)),
        (outcomes): Outcomes => new Map(outcomes)
      )
    ),
    Effect.catchDefect((defect) =>
      requests.length > 1
        ? inHalves(requests, (half) => verifyApart(epoch, half, options))
        : Effect.succeed(sameForAll(requests, { type: "halted", reason: "defect", detail: placeOf(defect) }))
    )
  )

const sameForAll = (of: ReadonlyArray<{ readonly id: RequestId }>, outcome: StepOutcome): Outcomes =>
  new Map(of.map(({ id }) => [id, outcome]))

const inHalves = <T, E, R>(all: ReadonlyArray<T>, each: (half: ReadonlyArray<T>) => Effect.Effect<Outcomes, E, R>) => {
  const middle = Math.ceil(all.length / 2)
  return Effect.map(
    Effect.all([each(all.slice(0, middle)), each(all.slice(middle))]),
    ([first, second]): Outcomes => new Map([...first, ...second])
  )
}

const verifyEpoch = Effect.fnUntraced(function* (epoch: number, requests: ReadonlyArray<StoredRequest>, options: VerifyOptions) {
  const committees = yield* Committees
  const committee = yield* committees.committee(epoch)
  const combined = yield* combineShares(requests, { ...options, committee })
  const outcomes = new Map<RequestId, StepOutcome>()
  const established: Array<Established> = []
  for (const [id, outcome] of combined) {
    if (outcome.type === "ended") outcomes.set(id, outcome.outcome)
    else established.push(outcome.result)
  }
  for (const batch of fitBatches(established, costOf)) {
    for (const [id, outcome] of yield* attest(committee, batch, options.beliefs)) outcomes.set(id, outcome)
  }
  yield* Effect.forEach(
    requests,
    Effect.fnUntraced(function* (request) {
      const outcome = outcomes.get(request.id)
      if (outcome !== undefined) outcomes.set(request.id, yield* orWhatTheChainSays(request, outcome))
    }),
    { concurrency: 8, discard: true }
  )
  return outcomes as Outcomes
})

const costOf = ({ toAttest: { request, result } }: Established) => ({
  handles: request.handles.length,
  resultBytes: result.length,
  callbackGas: request.callbackGas
})

/** One attestation for all of them. When nodes disagree with a batch, halves are tried, until the one they disagree with
 * stands alone. */
const attest = (
  committee: Committee,
  results: ReadonlyArray<Established>,
  beliefs: NodeBeliefs
): Effect.Effect<Outcomes, never, Effect.Services<ReturnType<typeof attestAll>>> =>
  results.length === 0
    ? Effect.succeed(new Map())
    : attestAll(committee, results, beliefs).pipe(
        Effect.catch((error) => {
          if (error._tag === "NotAttested" && error.refusals > 0 && results.length > 1) {
            return inHalves(results, (half) => attest(committee, half, beliefs))
          }
          // A permission that was taken back since the shares were given is a no, as it would have been before.
          const failures = error._tag === "NotAttested" ? error.failures : []
          const said = tooFew({ isReached: false, answers: [], failures }, committee)
          return Effect.map(
            said.type === "refused" ? Effect.succeed(said) : outcomeOfFailure(error),
            (outcome): Outcomes => new Map(results.map(({ toAttest }) => [toAttest.requestId, outcome]))
          )
        })
      )

const attestAll = Effect.fnUntraced(function* (committee: Committee, results: ReadonlyArray<Established>, beliefs: NodeBeliefs) {
  const ledger = yield* ResultLedger
  const [first] = results
  if (first === undefined) return new Map() as Outcomes
  const { chainId, gateway } = first.toAttest.request
  const ranked = beliefs.rank(committee)
  const attested = yield* attestResults({ committee, chainId, gateway, results: results.map(({ toAttest }) => toAttest), ranked })
  for (const liar of attested.liars) beliefs.lied(committee, liar)
  const roots = yield* ledger.keep(attested.batch)
  const resultOf = yield* standing(attested.batch, roots)
  return new Map(
    results.map(({ toAttest, nodes, liars }): [RequestId, StepOutcome] => [
      toAttest.requestId,
      {
        type: "threshold-verified",
        root: roots.get(toAttest.requestId) ?? attested.batch.attested.root,
        resultHash: resultHashOf(resultOf.get(toAttest.requestId) ?? toAttest.result),
        nodes,
        liars
      }
    ])
  ) as Outcomes
})

/** The results under the roots at which the requests stand: one that was kept before, and whose answer was lost, keeps its
 * first result, and other shares may have combined to other bytes. */
const standing = Effect.fnUntraced(function* (batch: AttestedBatch, roots: ReadonlyMap<RequestId, Hex>) {
  const ledger = yield* ResultLedger
  const earlier = [...new Set(roots.values())].filter((root) => root !== batch.attested.root)
  const batches = yield* Effect.forEach(earlier, ledger.batch, { concurrency: 4 })
  return new Map(
    [batch, ...batches]
      .flatMap((one) => (one?.responses ?? []).filter(({ requestId }) => roots.get(requestId) === one?.attested.root))
      .map(({ requestId, result }) => [requestId, result])
  )
})
