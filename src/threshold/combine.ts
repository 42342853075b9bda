/**
 * Optimistic combination: k shares are combined and the whole is verified; only when that fails are the shares checked
 * one by one and the liars named. Many combinations under one key are verified by one equation (see `batch.ts`).
 */
import assert from "node:assert/strict"
import type { NodeId } from "../domain/committee.ts"
import { findFalse } from "./batch.ts"
import type { Bls12381Engine } from "./engine.ts"
import { assertNodeIds, weightsAtZero } from "./lagrange.ts"
import { PointRejected } from "./point-rejected.ts"
import type { ShareScheme } from "./share-scheme.ts"
import { type SharedKey, verificationKeyOf } from "./shared-key.ts"

export interface NodeShare {
  readonly nodeId: NodeId
  readonly share: Uint8Array
}

/** What k nodes answered for one statement. Exactly k shares of distinct nodes. */
export interface Answered<Statement> {
  readonly statement: Statement
  readonly shares: ReadonlyArray<NodeShare>
}

/** Either the verified whole, or who lied: never both, never neither. */
export type Combined<Part> = { readonly whole: Part } | { readonly liars: ReadonlyArray<NodeId> }

type Reading<Part> = { readonly parts: ReadonlyArray<Part> } | { readonly liars: ReadonlyArray<NodeId> }

const readAll = <Statement, Part>(
  engine: Bls12381Engine,
  scheme: ShareScheme<Statement, Part>,
  shares: ReadonlyArray<NodeShare>
): Reading<Part> => {
  const parts: Array<Part> = []
  const liars: Array<NodeId> = []
  for (const { nodeId, share } of shares) {
    try {
      parts.push(scheme.read(engine, share))
    } catch (error) {
      if (!(error instanceof PointRejected)) throw error
      liars.push(nodeId)
    }
  }
  return liars.length > 0 ? { liars } : { parts }
}

/** Who of those that answered with well-formed points did not answer with what their verification key promises. */
const liarsAmong = <Statement, Part>(
  engine: Bls12381Engine,
  scheme: ShareScheme<Statement, Part>,
  key: SharedKey,
  answered: Answered<Statement>,
  parts: ReadonlyArray<Part>
): ReadonlyArray<NodeId> =>
  answered.shares
    .filter(
      ({ nodeId }, index) =>
        !scheme.allHold(engine, verificationKeyOf(key, nodeId), [{ statement: answered.statement, part: parts[index]! }])
    )
    .map(({ nodeId }) => nodeId)

/**
 * One `Combined` for each answer, in order. All are verified together; a lie in one costs the others two more checks
 * each time it is halved.
 */
export const combineAll = <Statement, Part>(
  engine: Bls12381Engine,
  scheme: ShareScheme<Statement, Part>,
  key: SharedKey,
  answers: ReadonlyArray<Answered<Statement>>
): ReadonlyArray<Combined<Part>> => {
  const readings = answers.map(({ shares }) => {
    assertNodeIds(shares.map(({ nodeId }) => nodeId), key.threshold, key.verificationKeys.length)
    return readAll(engine, scheme, shares)
  })
  const claims = answers.flatMap(({ statement, shares }, index) => {
    const reading = readings[index]!
    if (!("parts" in reading)) return []
    const weights = weightsAtZero(shares.map(({ nodeId }) => BigInt(nodeId)))
    return [{ index, statement, part: scheme.interpolate(engine, reading.parts, weights), parts: reading.parts }]
  })
  const wrong = findFalse(claims, (some) => scheme.allHold(engine, key.publicKey.point, some))
  const results: Array<Combined<Part>> = readings.map((reading) => ({ liars: "liars" in reading ? reading.liars : [] }))
  for (const [position, claim] of claims.entries()) {
    if (!wrong.has(position)) {
      results[claim.index] = { whole: claim.part }
      continue
    }
    const liars = liarsAmong(engine, scheme, key, answers[claim.index]!, claim.parts)
    assert(liars.length > 0, "verification keys that were read as one polynomial contradict the public key")
    results[claim.index] = { liars }
  }
  return results
}

/** One answer alone. */
export const combineOne = <Statement, Part>(
  engine: Bls12381Engine,
  scheme: ShareScheme<Statement, Part>,
  key: SharedKey,
  answered: Answered<Statement>
): Combined<Part> => combineAll(engine, scheme, key, [answered])[0]!
