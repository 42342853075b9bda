/** Scalar multiplication with mcl, the same for both groups: public sums fast, secret multiples by one path. */
import assert from "node:assert/strict"
import type { SecretScalar } from "../../threshold/engine.ts"
import { GROUP_ORDER, randomSecret, SCALAR_BYTES, scalarBytes } from "../../threshold/scalar.ts"
import type { MclModule } from "./mcl-module.ts"

/** Points in one call: bounds the workspace. Larger sums are added up. */
const POINTS_PER_CALL = 256

const HALF_ORDER = GROUP_ORDER / 2n

/** |s| small makes mcl's multiplication short: -1 is better than r - 1. */
const signed = (scalar: bigint): { readonly isNegative: boolean; readonly size: bigint } => {
  assert(scalar >= 0n && scalar < GROUP_ORDER, "a scalar is reduced")
  return scalar > HALF_ORDER ? { isNegative: true, size: GROUP_ORDER - scalar } : { isNegative: false, size: scalar }
}
/** Below this |s| a double-and-add of its own is cheaper than a place in mcl's multi-scalar multiplication. */
const SMALL = 1n << 16n

/** The functions of one group, so that sums are written once. */
export interface Group {
  readonly bytes: number
  readonly add: (out: number, left: number, right: number) => void
  readonly neg: (out: number, point: number) => void
  readonly mul: (out: number, point: number, scalar: number) => void
  readonly mulVec: (out: number, points: number, scalars: number, count: number) => void
  readonly clear: (out: number) => void
}

export const sum = (
  mcl: MclModule,
  group: Group,
  points: ReadonlyArray<Uint8Array>,
  scalars: ReadonlyArray<bigint>
): Uint8Array => {
  assert(points.length > 0 && points.length === scalars.length, "one scalar for each point")
  mcl.begin()
  const total = mcl.take(group.bytes)
  const term = mcl.take(group.bytes)
  const scalarAt = mcl.take(SCALAR_BYTES)
  const pointsAt = mcl.take(group.bytes * POINTS_PER_CALL)
  const scalarsAt = mcl.take(SCALAR_BYTES * POINTS_PER_CALL)
  const bytesAt = mcl.take(SCALAR_BYTES)
  const putScalar = (at: number, value: bigint): void => {
    mcl.write(bytesAt, scalarBytes(value))
    assert(mcl.call._mclBnFr_deserialize(at, bytesAt, SCALAR_BYTES) === SCALAR_BYTES, "a reduced scalar is read")
  }
  group.clear(total)
  let waiting = 0
  const flush = (): void => {
    if (waiting === 0) return
    if (waiting === 1) group.mul(term, pointsAt, scalarsAt)
    else group.mulVec(term, pointsAt, scalarsAt, waiting)
    group.add(total, total, term)
    waiting = 0
  }
  for (const [index, limbs] of points.entries()) {
    const { isNegative, size } = signed(scalars[index]!)
    const at = pointsAt + group.bytes * waiting
    mcl.write(at, limbs)
    if (isNegative) group.neg(at, at)
    if (size < SMALL) {
      putScalar(scalarAt, size)
      group.mul(term, at, scalarAt)
      group.add(total, total, term)
      continue
    }
    putScalar(scalarsAt + SCALAR_BYTES * waiting, size)
    waiting += 1
    if (waiting === POINTS_PER_CALL) flush()
  }
  flush()
  return mcl.read(total, group.bytes)
}

/**
 * x*P as a*P + (x-a)*P for a fresh uniform a: what can be seen of the time is about a and x-a, each as good as random.
 * mcl's own `mulCT` does not keep its name's promise: it takes 0.03 ms for x = 1 and 0.25 ms for most (mcl-wasm 2.4.1),
 * and is no faster than both halves in one double multiplication.
 */
export const secretMultiple = (mcl: MclModule, group: Group, limbs: Uint8Array, secret: SecretScalar): Uint8Array => {
  assert(secret.length === SCALAR_BYTES, "a secret scalar is 32 bytes")
  mcl.begin()
  const points = mcl.put(limbs)
  mcl.write(mcl.take(group.bytes), limbs) // a second time, right behind the first
  const halves = mcl.take(2 * SCALAR_BYTES)
  const [left, right] = [halves, halves + SCALAR_BYTES]
  const mask = randomSecret()
  const bytes = mcl.take(SCALAR_BYTES)
  mcl.write(bytes, secret)
  const isReduced = mcl.call._mclBnFr_deserialize(right, bytes, SCALAR_BYTES) === SCALAR_BYTES
  mcl.write(bytes, mask)
  mcl.call._mclBnFr_deserialize(left, bytes, SCALAR_BYTES)
  mcl.call._mclBnFr_sub(right, right, left)
  mask.fill(0)
  const out = mcl.take(group.bytes)
  group.mulVec(out, points, halves, 2)
  mcl.wipe(bytes, SCALAR_BYTES)
  mcl.wipe(halves, 2 * SCALAR_BYTES)
  assert(isReduced, "a secret scalar is reduced")
  return mcl.read(out, group.bytes)
}
