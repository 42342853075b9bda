/** Points as EIP-2537 writes them: uncompressed, each field element big-endian in 64 bytes, c0 before c1. */
import { bls12_381 } from "@noble/curves/bls12-381.js"

const FIELD_BYTES = 64

const fieldElement = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(FIELD_BYTES * 2, "0"), "hex")

/** 48 bytes compressed to 128. Throws on what is no G1 point. */
export const g1ForChain = (compressed: Uint8Array): Uint8Array => {
  const { x, y } = bls12_381.G1.Point.fromBytes(compressed).toAffine()
  return new Uint8Array(Buffer.concat([x, y].map(fieldElement)))
}

/** 96 bytes compressed to 256. Throws on what is no G2 point. */
export const g2ForChain = (compressed: Uint8Array): Uint8Array => {
  const { x, y } = bls12_381.G2.Point.fromBytes(compressed).toAffine()
  return new Uint8Array(Buffer.concat([x.c0, x.c1, y.c0, y.c1].map(fieldElement)))
}
