/** What the chain says about a handle's ciphertext. The bytes themselves live in an object store and must match the digest. */
import type { Handle } from "./handle.ts"
import type { Hex } from "./hex.ts"

export interface CiphertextRecord {
  readonly handle: Handle
  readonly owner: Hex
  /** sha256 of the whole ciphertext. */
  readonly digest: Hex
  readonly sizeBytes: number
  /** The committee epoch it was encrypted for. */
  readonly epoch: number
  /** `store://<store name>/<key>`; foreign text, read only through stores the operator named. */
  readonly locations: ReadonlyArray<string>
}
