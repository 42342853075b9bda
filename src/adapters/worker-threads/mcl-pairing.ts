/**
 * Products of pairings with mcl: one Miller loop for many pairs, prepared points by their stored lines, one final
 * exponentiation.
 */
import assert from "node:assert/strict"
import { type MclG1, type MclG2, G1_BYTES, G2_BYTES, GT_BYTES } from "./mcl-points.ts"
import type { MclModule } from "./mcl-module.ts"

const PAIRS_PER_CALL = 64

/**
 * The product of e(left[i], right[i]) before the final exponentiation, at the returned address. Prepared points take
 * the short way.
 */
const millerProduct = (mcl: MclModule, pairs: ReadonlyArray<{ readonly left: MclG1; readonly right: MclG2 }>): number => {
  const product = mcl.take(GT_BYTES)
  const factor = mcl.take(GT_BYTES)
  let isFirst = true
  const multiplyIn = (compute: (out: number) => void): void => {
    compute(isFirst ? product : factor)
    if (!isFirst) mcl.call._mclBnGT_mul(product, product, factor)
    isFirst = false
  }
  const prepared = pairs.filter((pair) => pair.right.lines !== undefined)
  const leftAt = [mcl.take(G1_BYTES), mcl.take(G1_BYTES)] as const
  const linesAt = [mcl.take(mcl.linesBytes), mcl.take(mcl.linesBytes)] as const
  for (let index = 0; index < prepared.length; index += 2) {
    for (const [slot, pair] of prepared.slice(index, index + 2).entries()) {
      mcl.write(leftAt[slot]!, pair.left.limbs)
      mcl.write(linesAt[slot]!, pair.right.lines!)
    }
    multiplyIn((out) =>
      index + 1 < prepared.length
        ? mcl.call._mclBn_precomputedMillerLoop2(out, leftAt[0], linesAt[0], leftAt[1], linesAt[1])
        : mcl.call._mclBn_precomputedMillerLoop(out, leftAt[0], linesAt[0])
    )
  }
  const others = pairs.filter((pair) => pair.right.lines === undefined)
  const lefts = mcl.take(G1_BYTES * PAIRS_PER_CALL)
  const rights = mcl.take(G2_BYTES * PAIRS_PER_CALL)
  for (let index = 0; index < others.length; index += PAIRS_PER_CALL) {
    const some = others.slice(index, index + PAIRS_PER_CALL)
    for (const [slot, pair] of some.entries()) {
      mcl.write(lefts + G1_BYTES * slot, pair.left.limbs)
      mcl.write(rights + G2_BYTES * slot, pair.right.limbs)
    }
    multiplyIn((out) => mcl.call._mclBn_millerLoopVec(out, lefts, rights, some.length))
  }
  return product
}

/** Whether the product of e(left[i], right[i]) is 1. At least one pair, none of them with an identity. */
export const productIsOne = (mcl: MclModule, pairs: ReadonlyArray<{ readonly left: MclG1; readonly right: MclG2 }>): boolean => {
  mcl.begin()
  const product = millerProduct(mcl, pairs)
  mcl.call._mclBn_finalExp(product, product)
  return mcl.call._mclBnGT_isOne(product) === 1
}

/** e(left, right) in the order of the port. */
export const pairingBytes = (mcl: MclModule, left: MclG1, right: MclG2): Uint8Array => {
  mcl.begin()
  const value = mcl.take(GT_BYTES)
  mcl.call._mclBn_pairing(value, mcl.put(left.limbs), mcl.put(right.limbs))
  const out = mcl.take(GT_BYTES)
  assert(mcl.call._mclBnGT_serialize(out, GT_BYTES, value) === GT_BYTES, "a pairing is written")
  const given = mcl.read(out, GT_BYTES)
  mcl.wipe(out, GT_BYTES)
  mcl.wipe(value, GT_BYTES)
  // mcl in ETH mode: lowest Fp2 first, in each c1 before c0. vetKeys: highest first, so c1 before c0 as well: only the
  // order of the Fp2s turns.
  const bytes = new Uint8Array(GT_BYTES)
  for (let index = 0; index < 6; index++) bytes.set(given.subarray(96 * index, 96 * index + 96), 96 * (5 - index))
  given.fill(0)
  return bytes
}
