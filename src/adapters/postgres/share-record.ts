/** A share answer as bytes, before it is sealed: count (1), length of a share (2, big-endian), shares, signature. */
import assert from "node:assert/strict"
import type { ShareAnswer } from "../../domain/share.ts"

const HEADER_BYTES = 3

export const encodeAnswer = ({ shares, signature }: Pick<ShareAnswer, "shares" | "signature">): Uint8Array => {
  const shareBytes = shares[0]?.length ?? 0
  assert(shares.length < 256 && shareBytes < 65_536, "an answer has few, short shares")
  assert(
    shares.every((share) => share.length === shareBytes),
    "the shares of one answer are equally long"
  )
  return Buffer.concat([Uint8Array.of(shares.length, shareBytes >> 8, shareBytes & 255), ...shares, signature])
}

export const decodeAnswer = (bytes: Uint8Array): Pick<ShareAnswer, "shares" | "signature"> => {
  const [count = 0, high = 0, low = 0] = bytes
  const shareBytes = high * 256 + low
  const end = HEADER_BYTES + count * shareBytes
  assert(bytes.length >= end, "our own records are whole")
  const shares = Array.from({ length: count }, (_, index) =>
    bytes.slice(HEADER_BYTES + index * shareBytes, HEADER_BYTES + (index + 1) * shareBytes)
  )
  return { shares, signature: bytes.slice(end) }
}
