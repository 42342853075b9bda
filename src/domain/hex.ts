/** Bytes as 0x-prefixed lower-case hex: how they stand in records, logs and JSON. */
import assert from "node:assert/strict"

export type Hex = `0x${string}`

export const toHex = (bytes: Uint8Array): Hex =>
  `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`

/** Strict: even length, hex digits only. For our own data; foreign text goes through `parseHex`. */
export const fromHex = (hex: string): Uint8Array => {
  const bytes = parseHex(hex)
  assert(bytes !== undefined, "not a hex string")
  return bytes
}

/** Bytes of a hex string from outside; undefined when it is not one, or not `length` bytes long. */
export const parseHex = (hex: string, length?: number): Uint8Array | undefined => {
  if (!/^0x(?:[0-9a-fA-F]{2})*$/.test(hex)) return undefined
  const bytes = new Uint8Array(Buffer.from(hex.slice(2), "hex"))
  return length === undefined || bytes.length === length ? bytes : undefined
}

export const lower = (hex: string): Hex => {
  assert(hex.startsWith("0x"), "hex starts with 0x")
  return hex.toLowerCase() as Hex
}
