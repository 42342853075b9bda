/** Interpolation at zero over the scalar field: how k shares become the whole. */
import assert from "node:assert/strict"
import { bls12_381_Fr as Fr } from "@noble/curves/bls12-381.js"
import type { NodeId } from "../domain/committee.ts"
import { COMMITTEE_NODES_MAX } from "../domain/limits.ts"
import type { PublicScalar } from "./engine.ts"

/**
 * Ids as the shares name them: 1..n, distinct, exactly k. Our own mistake otherwise: who collects shares must not let
 * it come to this.
 */
export const assertNodeIds = (ids: ReadonlyArray<NodeId>, threshold: number, nodes: number): void => {
  assert(Number.isInteger(nodes) && nodes >= 1 && nodes <= COMMITTEE_NODES_MAX, `a committee has 1..${COMMITTEE_NODES_MAX} nodes`)
  assert(Number.isInteger(threshold) && threshold >= 1 && threshold <= nodes, "the threshold is in 1..n")
  assert(ids.length === threshold, "exactly k shares are combined")
  assert(
    ids.every((id) => Number.isInteger(id) && id >= 1 && id <= nodes),
    "node ids are in 1..n"
  )
  assert(new Set(ids).size === ids.length, "two shares of one node")
}

/** Weights that bring values at `xs` back to the value at 0 (RFC 9591 section 4.2). Public data; variable time. */
export const weightsAtZero = (xs: ReadonlyArray<bigint>): ReadonlyArray<PublicScalar> => {
  assert(xs.length > 0, "no shares to interpolate")
  assert(new Set(xs.map((x) => Fr.create(x))).size === xs.length, "two shares with one index modulo r")
  assert(
    xs.every((x) => Fr.create(x) !== 0n),
    "index 0 is the secret itself"
  )
  return xs.map((x) => {
    const others = xs.filter((other) => other !== x)
    const numerator = others.reduce((product, other) => Fr.mul(product, Fr.create(other)), Fr.ONE)
    const denominator = others.reduce((product, other) => Fr.mul(product, Fr.sub(other, x)), Fr.ONE)
    return Fr.div(numerator, denominator)
  })
}

/** The value at `x` of the polynomial with these coefficients, lowest first (Horner). */
export const evaluate = (coefficients: ReadonlyArray<bigint>, x: bigint): bigint =>
  coefficients.reduceRight((sum, coefficient) => Fr.add(Fr.mul(sum, x), coefficient), 0n)
