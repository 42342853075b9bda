/**
 * Multiples of the G2 generator from a table: 32 additions instead of 255 doublings. For public scalars: the table's
 * index shows in time.
 */
import assert from "node:assert/strict"
import { GROUP_ORDER, scalarBytes } from "../../threshold/scalar.ts"
import type { MclModule } from "./mcl-module.ts"
import { G2_BYTES } from "./mcl-points.ts"

const WINDOWS = 32
const MULTIPLES = 255

/** window w, digit d: d * 256^w * base, affine. 2.3 MB of mcl's memory and about 0.1 s. */
const buildTable = (mcl: MclModule, base: Uint8Array): number => {
  const { call } = mcl
  const count = WINDOWS * MULTIPLES
  const table = mcl.keep(count * G2_BYTES)
  mcl.begin()
  const power = mcl.put(base)
  for (let window = 0; window < WINDOWS; window++) {
    const row = table + window * MULTIPLES * G2_BYTES
    mcl.write(row, mcl.read(power, G2_BYTES))
    for (let digit = 2; digit <= MULTIPLES; digit++) {
      call._mclBnG2_add(row + (digit - 1) * G2_BYTES, row + (digit - 2) * G2_BYTES, power)
    }
    call._mclBnG2_add(power, row + (MULTIPLES - 1) * G2_BYTES, power) // 255 * P + P
  }
  call._mclBnG2_normalizeVec(table, table, count)
  return table
}

/** scalar * base for scalars in 0..r-1, in mcl's coordinates. */
export const fixedBaseG2 = (mcl: MclModule, base: Uint8Array): ((scalar: bigint) => Uint8Array) => {
  const table = buildTable(mcl, base) // now, not in the middle of the first request
  return (scalar) => {
    assert(scalar >= 0n && scalar < GROUP_ORDER, "a scalar is reduced")
    const bytes = scalarBytes(scalar)
    mcl.begin()
    const total = mcl.take(G2_BYTES)
    mcl.call._mclBnG2_clear(total)
    for (let window = 0; window < WINDOWS; window++) {
      const digit = bytes[WINDOWS - 1 - window]!
      if (digit === 0) continue
      mcl.call._mclBnG2_add(total, total, table + (window * MULTIPLES + digit - 1) * G2_BYTES)
    }
    return mcl.read(total, G2_BYTES)
  }
}
