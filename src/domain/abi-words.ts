/** Solidity's static ABI words (32 bytes each), enough for ids and digests. Contract ABI specification, "Formal Specification of the Encoding". */
import { keccak_256 } from "@noble/hashes/sha3.js"
import assert from "node:assert/strict"
import { fromHex, toHex, type Hex } from "./hex.ts"

export const keccak = (...parts: ReadonlyArray<Uint8Array>): Hex => toHex(keccak_256(Buffer.concat(parts)))

export const keccakText = (text: string): Hex => keccak(Buffer.from(text, "utf8"))

/** An unsigned integer as one word. */
export const uintWord = (value: bigint | number): Uint8Array => {
  const wide = BigInt(value)
  assert(wide >= 0n && wide < 1n << 256n, "a word holds 0..2^256-1")
  return fromHex(`0x${wide.toString(16).padStart(64, "0")}`)
}

/** An address (20 bytes) as one word, left-padded. */
export const addressWord = (address: Hex): Uint8Array => {
  const bytes = fromHex(address)
  assert(bytes.length === 20, "an address has 20 bytes")
  return Buffer.concat([new Uint8Array(12), bytes])
}

/** A bytes32 as it stands. */
export const bytes32Word = (hex: Hex): Uint8Array => {
  const bytes = fromHex(hex)
  assert(bytes.length === 32, "a bytes32 has 32 bytes")
  return bytes
}
