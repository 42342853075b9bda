/**
 * Just enough DER (ITU-T X.690) to write a certificate: tagged values with definite lengths. Writing only; nothing foreign is
 * read here.
 */
import assert from "node:assert/strict"

export const der = (tag: number, ...content: ReadonlyArray<Uint8Array>): Buffer => {
  const body = Buffer.concat(content)
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body])
  const length = Buffer.from(body.length.toString(16).padStart(2 * Math.ceil(body.length.toString(16).length / 2), "0"), "hex")
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body])
}

export const sequence = (...items: ReadonlyArray<Uint8Array>): Buffer => der(0x30, ...items)
export const set = (...items: ReadonlyArray<Uint8Array>): Buffer => der(0x31, ...items)
export const boolean = (value: boolean): Buffer => der(0x01, Buffer.of(value ? 0xff : 0x00))
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text, "utf8"))
export const bits = (bytes: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.of(unused), bytes)
/** [n] around something else. */
export const explicit = (n: number, content: Uint8Array): Buffer => der(0xa0 | n, content)
/** [n] in place of a primitive's own tag. */
export const implicit = (n: number, content: Uint8Array): Buffer => der(0x80 | n, content)

/** An unsigned number of big-endian bytes. */
export const integer = (bytes: Uint8Array): Buffer => {
  const first = bytes.findIndex((byte) => byte !== 0)
  const short = first < 0 ? Buffer.of(0) : Buffer.from(bytes.subarray(first))
  return der(0x02, short[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), short]) : short)
}

const base128 = (value: number): Array<number> => {
  const digits = [value & 0x7f]
  for (let left = value >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f))
  return digits
}

export const oid = (dotted: string): Buffer => {
  const [first, second, ...rest] = dotted.split(".").map(Number)
  assert(first !== undefined && second !== undefined, "an object identifier has two parts at least")
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** UTCTime up to 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
export const time = (at: Date): Buffer => {
  const digits = at.toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(`${digits.slice(2)}Z`)) : der(0x18, Buffer.from(`${digits}Z`))
}
