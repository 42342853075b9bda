/** `abi.encode(bytes[])`, read back (protocol.md section 6). One list has one encoding: anything else is no result. */
import { HANDLES_PER_REQUEST_MAX } from "../domain/limits.ts"
import { encodeResult } from "../threshold/result-encoding.ts"

const WORD = 32

/** The items; undefined for every byte string that `encodeResult` does not write, and for more than 32 items. */
export const decodeResult = (result: Uint8Array): ReadonlyArray<Uint8Array> | undefined => {
  const wordAt = (at: number): number | undefined => {
    if (at + WORD > result.length) return undefined
    const word = result.subarray(at, at + WORD)
    if (word.subarray(0, WORD - 4).some((byte) => byte !== 0)) return undefined
    return new DataView(word.buffer, word.byteOffset).getUint32(WORD - 4)
  }
  const count = wordAt(WORD)
  if (count === undefined || count > HANDLES_PER_REQUEST_MAX) return undefined
  const items: Array<Uint8Array> = []
  for (let index = 0; index < count; index++) {
    const offset = wordAt((2 + index) * WORD)
    const length = offset === undefined ? undefined : wordAt(2 * WORD + offset)
    if (offset === undefined || length === undefined) return undefined
    const from = 3 * WORD + offset
    if (from + length > result.length) return undefined
    items.push(result.slice(from, from + length))
  }
  return Buffer.compare(encodeResult(items), result) === 0 ? items : undefined
}
