/** Bytes that are not a ciphertext, or not one for this identity and key. Known: no key of the committee will ever open them. */
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"

export type CiphertextFault =
  | "too short"
  | "too long"
  | "not a PCT1 ciphertext"
  | "unknown suite"
  | "unknown flags"
  | "wrong epoch"
  | "wrong length of the encrypted key"
  | "not an IBE ciphertext"
  | "c1 is not a point"
  | "wrong opening"
  | "payload not authentic"

export class CiphertextRejected extends TaggedError("CiphertextRejected")<{ readonly reason: CiphertextFault }> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `no usable ciphertext: ${this.reason}`
  }
}
