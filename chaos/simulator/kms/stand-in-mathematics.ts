/** Threshold mathematics that costs microseconds: Shamir shares over the field of 2^61 - 1, where the real thing has a pairing-friendly curve.
 * It keeps what the protocol rests on: any k right shares give the one whole, a wrong one is noticed and can be blamed, and bytes that are no
 * field element are malformed. It hides nothing: whoever verifies here knows the polynomial. */
import { hash } from "node:crypto"
import type { NodeId } from "../../../src/domain/committee.ts"
import { SHARE_BYTES } from "../../../src/domain/share.ts"

const P = 2n ** 61n - 1n
const mod = (value: bigint): bigint => ((value % P) + P) % P

const power = (base: bigint, exponent: bigint): bigint => {
  let [result, square, rest] = [1n, mod(base), exponent]
  for (; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % P
    square = (square * square) % P
  }
  return result
}

/** What a hash to the curve would be: never 0. */
export const elementOf = (text: string): bigint => (BigInt(`0x${hash("sha256", text, "hex").slice(0, 15)}`) % (P - 1n)) + 1n

const MARK = 0x51

/** 48 or 192 bytes: the element, and a mark in all the rest. */
export const encodeElement = (element: bigint, length: number): Uint8Array => {
  const bytes = Buffer.alloc(length, MARK)
  bytes.writeBigUInt64BE(element)
  return new Uint8Array(bytes)
}

export const decodeElement = (bytes: Uint8Array): bigint | undefined => {
  const element = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE()
  return element < P && bytes.subarray(8).every((byte) => byte === MARK) ? element : undefined
}

export class DealtKey {
  readonly threshold: number
  private readonly coefficients: ReadonlyArray<bigint>

  constructor(name: string, threshold: number) {
    this.threshold = threshold
    this.coefficients = Array.from({ length: threshold }, (_, power_) => elementOf(`${name} coefficient ${power_}`))
  }

  private at(node: number): bigint {
    return this.coefficients.reduceRight((sum, coefficient) => mod(sum * BigInt(node) + coefficient), 0n)
  }

  shareOf(node: NodeId, statement: string): bigint {
    return mod(this.at(node) * elementOf(statement))
  }

  wholeOf(statement: string): bigint {
    return mod(this.coefficients[0]! * elementOf(statement))
  }

  isRight(node: NodeId, statement: string, share: Uint8Array): boolean {
    return decodeElement(share) === this.shareOf(node, statement)
  }

  /** Lagrange at 0 over the first k; undefined when one of them is no field element. */
  combine(shares: ReadonlyArray<{ readonly node: NodeId; readonly share: Uint8Array }>): bigint | undefined {
    let whole = 0n
    for (const { node, share } of shares) {
      const element = decodeElement(share)
      if (element === undefined) return undefined
      let [above, below] = [1n, 1n]
      for (const other of shares) {
        if (other.node === node) continue
        above = mod(above * BigInt(other.node))
        below = mod(below * (BigInt(other.node) - BigInt(node)))
      }
      whole = mod(whole + element * above * power(below, P - 2n))
    }
    return whole
  }
}

/** What is a share of, in words: the identity of the handle, and for users the key that it travels under. */
export const statementOf = (handle: string, transportKey: string): string => `${handle} ${transportKey}`

export const keyStream = (whole: bigint, length: number): Uint8Array => {
  const out = new Uint8Array(length)
  for (let at = 0; at < length; at += 32) out.set(hash("sha256", `${whole} ${at}`, "buffer").subarray(0, Math.min(32, length - at)), at)
  return out
}

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, index) => byte ^ b[index]!)
const TAG_BYTES = 8
const tagOf = (plain: Uint8Array): Uint8Array => hash("sha256", plain, "buffer").subarray(0, TAG_BYTES)

/** Plaintext and a tag of it, under a key stream. */
export const seal = (whole: bigint, plain: Uint8Array): Uint8Array => {
  const text = new Uint8Array([...plain, ...tagOf(plain)])
  return xor(text, keyStream(whole, text.length))
}

export const open = (whole: bigint, sealed: Uint8Array): Uint8Array | undefined => {
  const text = xor(sealed, keyStream(whole, sealed.length))
  const plain = text.slice(0, -TAG_BYTES)
  return Buffer.compare(tagOf(plain), text.subarray(-TAG_BYTES)) === 0 ? plain : undefined
}

export const shareBytesOf = (kind: keyof typeof SHARE_BYTES): number => SHARE_BYTES[kind]
