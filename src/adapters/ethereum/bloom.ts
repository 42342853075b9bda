/** A block's 2048-bit log filter (Yellow Paper section 4.4.1, M3:2048): "no" is certain, "yes" is only likely. */
import { fromHex, type Hex } from "../../domain/hex.ts"
import { keccak } from "../../domain/abi-words.ts"

const BLOOM_BYTES = 256

export const mayContain = (bloom: Hex, item: Hex): boolean => {
  const bits = fromHex(bloom)
  const hash = fromHex(keccak(fromHex(item)))
  return [0, 2, 4].every((at) => {
    const bit = ((hash[at]! << 8) | hash[at + 1]!) & 0x7ff
    return ((bits[BLOOM_BYTES - 1 - (bit >> 3)] ?? 0) & (1 << (bit & 7))) !== 0
  })
}
