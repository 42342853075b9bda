/** One encoding for an encryption context, so that what was sealed for one purpose can never be opened for another. */
import assert from "node:assert/strict"
import type { EncryptionContext } from "./key-encryption-key.port.ts"

const PAIRS_MAX = 16
const TEXT_BYTES_MAX = 256

const part = (text: string): Uint8Array => {
  const bytes = Buffer.from(text, "utf8")
  assert(bytes.length <= TEXT_BYTES_MAX, `a name or value of a context has at most ${TEXT_BYTES_MAX} bytes`)
  return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes])
}

/** Pairs in the byte order of their names, every name and value with its length in front: joined text could be cut elsewhere. */
export const encodeContext = (context: EncryptionContext): Uint8Array => {
  const pairs = Object.entries(context)
  assert(pairs.length > 0 && pairs.length <= PAIRS_MAX, `a context has 1..${PAIRS_MAX} pairs`)
  const sorted = pairs.toSorted(([left], [right]) => Buffer.compare(Buffer.from(left, "utf8"), Buffer.from(right, "utf8")))
  return new Uint8Array(
    Buffer.concat([Uint8Array.of(pairs.length), ...sorted.flatMap(([name, value]) => [part(name), part(value)])])
  )
}
