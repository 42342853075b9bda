/** Points of the mcl engine behind the port's opaque types: mcl's own numbers, so that nothing is decoded twice. */
import assert from "node:assert/strict"
import type { G1Point, G2Point } from "../../threshold/engine.ts"

export const FP_BYTES = 48
export const G1_BYTES = 3 * FP_BYTES
export const G2_BYTES = 6 * FP_BYTES
export const GT_BYTES = 12 * FP_BYTES

/** mcl's own Jacobian coordinates, copied into its memory for each call (144 bytes cost less than 0.1 us). */
export class MclG1 {
  readonly limbs: Uint8Array
  constructor(limbs: Uint8Array) {
    this.limbs = limbs
  }
}

export class MclG2 {
  readonly limbs: Uint8Array
  /** Line coefficients of its Miller loop, when prepared. */
  readonly lines: Uint8Array | undefined
  constructor(limbs: Uint8Array, lines?: Uint8Array) {
    this.limbs = limbs
    this.lines = lines
  }
}

export const g1 = (point: G1Point): MclG1 => {
  assert(point instanceof MclG1, "a G1 point of this engine")
  return point as unknown as MclG1
}
export const g2 = (point: G2Point): MclG2 => {
  assert(point instanceof MclG2, "a G2 point of this engine")
  return point as unknown as MclG2
}
export const asG1 = (limbs: Uint8Array): G1Point => new MclG1(limbs) as unknown as G1Point
export const asG2 = (limbs: Uint8Array, lines?: Uint8Array): G2Point => new MclG2(limbs, lines) as unknown as G2Point
