/**
 * Numbers modulo the group order r. Secrets are 32 big-endian bytes that their owner can overwrite; where arithmetic
 * needs a bigint, the JavaScript engine may keep copies of it that nobody can overwrite, and its arithmetic is not
 * constant time (see SECURITY.md).
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { bls12_381_Fr as Fr } from "@noble/curves/bls12-381.js"
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"
import type { PublicScalar, SecretScalar } from "./engine.ts"

export const GROUP_ORDER: bigint = Fr.ORDER
export const SCALAR_BYTES = 32

/** Bytes given as a secret are not the canonical form of a number in 1..r-1. Says nothing about the bytes. */
export class ScalarRejected extends TaggedError("ScalarRejected")<{
  readonly reason: "wrong length" | "zero" | "not below the group order"
}> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `not a secret scalar: ${this.reason}`
  }
}

export const bigintOf = (bytes: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex") || "0"}`)

/** 32 big-endian bytes of a number below r. */
export const scalarBytes = (scalar: bigint): Uint8Array => {
  assert(scalar >= 0n && scalar < GROUP_ORDER, "a scalar is reduced")
  return new Uint8Array(Buffer.from(scalar.toString(16).padStart(SCALAR_BYTES * 2, "0"), "hex"))
}

/** A secret from outside (a key file, a transport key): canonical and not zero, or `ScalarRejected`. Returns a copy. */
export const readSecret = (bytes: Uint8Array): SecretScalar => {
  if (bytes.length !== SCALAR_BYTES) throw new ScalarRejected({ reason: "wrong length" })
  const value = bigintOf(bytes)
  if (value === 0n) throw new ScalarRejected({ reason: "zero" })
  if (value >= GROUP_ORDER) throw new ScalarRejected({ reason: "not below the group order" })
  return Uint8Array.from(bytes)
}

/** 48 uniform bytes reduced modulo r: the bias is below 2^-128 (RFC 9380 section 5.2, L = 48). Zero has probability 2^-255. */
export const secretFromWideBytes = (bytes: Uint8Array): SecretScalar => {
  assert(bytes.length === 48, "48 bytes hide the reduction")
  const value = Fr.create(bigintOf(bytes))
  assert(value !== 0n, "a uniform scalar is not zero")
  return scalarBytes(value)
}

export const randomSecret = (): SecretScalar => {
  const wide = new Uint8Array(randomBytes(48))
  const secret = secretFromWideBytes(wide)
  wide.fill(0)
  return secret
}

/** A coefficient of a random linear combination: 128 bits, so that a false equation survives with probability 2^-128. */
export const randomCoefficient = (): PublicScalar => {
  const value = bigintOf(randomBytes(16))
  return value === 0n ? 1n : value
}
