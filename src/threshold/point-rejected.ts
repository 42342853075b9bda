/**
 * Bytes from outside that do not name a usable point. What is known: whoever sent them broke the encoding rules of
 * protocol.md.
 */
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"

export class PointRejected extends TaggedError("PointRejected")<{
  readonly group: "G1" | "G2"
  readonly bytesGiven: number
  readonly reason: "wrong length" | "not a point of the subgroup in canonical form" | "the identity"
}> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `${this.bytesGiven} bytes given as a ${this.group} point: ${this.reason}`
  }
}
