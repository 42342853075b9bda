/** `abi.encode(bytes[])`: the form in which results are hashed, attested and delivered (protocol.md section 6). */
import { uintWord } from "../domain/abi-words.ts"

const paddedToWords = (bytes: Uint8Array): Uint8Array => {
  const padded = new Uint8Array(Math.ceil(bytes.length / 32) * 32)
  padded.set(bytes)
  return padded
}

/** Contract ABI specification, "Formal Specification of the Encoding": offsets count from the word after the array's length. */
export const encodeResult = (items: ReadonlyArray<Uint8Array>): Uint8Array => {
  const tails = items.map((item) => Buffer.concat([uintWord(item.length), paddedToWords(item)]))
  let offset = 32 * items.length
  const offsets = tails.map((tail) => {
    const word = uintWord(offset)
    offset += tail.length
    return word
  })
  return new Uint8Array(Buffer.concat([uintWord(32), uintWord(items.length), ...offsets, ...tails]))
}
