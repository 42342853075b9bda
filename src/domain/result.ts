/** A result as the chain takes it: abi.encode(bytes[]), one item for each handle (protocol.md section 6). One value, one encoding. */
import { HANDLES_PER_REQUEST_MAX } from "./limits.ts"
import { uintWord } from "./abi-words.ts"

const WORD = 32

const padded = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, new Uint8Array((WORD - (bytes.length % WORD)) % WORD)])

/** Contract ABI specification, "Formal Specification of the Encoding": offset of the array, its length, offsets of the items, the items. */
export const encodeResult = (items: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bodies = items.map((item) => Buffer.concat([uintWord(item.length), padded(item)]))
  let offset = items.length * WORD
  const offsets = bodies.map((body) => {
    const here = uintWord(offset)
    offset += body.length
    return here
  })
  return new Uint8Array(Buffer.concat([uintWord(WORD), uintWord(items.length), ...offsets, ...bodies]))
}

/** The items; undefined for every byte string that `encodeResult` does not write. */
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
    const offset = wordAt(2 * WORD + index * WORD)
    const length = offset === undefined ? undefined : wordAt(2 * WORD + offset)
    if (offset === undefined || length === undefined) return undefined
    const from = 3 * WORD + offset
    if (from + length > result.length) return undefined
    items.push(result.slice(from, from + length))
  }
  return Buffer.compare(encodeResult(items), result) === 0 ? items : undefined
}
