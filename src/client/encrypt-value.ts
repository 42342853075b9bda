/** From a value to a ciphertext that only k nodes of the committee together can open, and the handle that names it on chain. */
import { createHash, randomBytes } from "node:crypto"
import type { Committee } from "../domain/committee.ts"
import { handleOf, type Handle } from "../domain/handle.ts"
import { fromHex, toHex, type Hex } from "../domain/hex.ts"
import { CIPHERTEXT_BYTES_MAX } from "../domain/limits.ts"
import { CIPHERTEXT_OVERHEAD_BYTES, sealCiphertext } from "../threshold/ciphertext.ts"
import { identityBytes } from "../threshold/identity.ts"
import { nobleEngine } from "../threshold/noble-engine.ts"
import { InputRejected } from "./client-errors.ts"
import { decryptionKeyOf } from "./committee-record.ts"
import type { Deployment } from "./deployment.ts"

/** What is made of a value. Everything in it may be known to anybody. */
export interface Encrypted {
  readonly handle: Handle
  readonly ciphertext: Uint8Array
  /** sha256 of the ciphertext. */
  readonly digest: Hex
  readonly owner: Hex
  readonly salt: Hex
  /** The committee it was encrypted for. */
  readonly epoch: number
}

/** The largest value, in bytes. One that is to be made public has at most 4,096. */
export const VALUE_BYTES_MAX = CIPHERTEXT_BYTES_MAX - CIPHERTEXT_OVERHEAD_BYTES

export const randomSalt = (): Hex => toHex(randomBytes(32))

/** Throws `InputRejected` or `CommitteeUnusable`. `value` is not kept. */
export const encryptValue = (
  { chainId, addresses }: Deployment,
  committee: Committee,
  value: Uint8Array,
  { owner, salt }: { readonly owner: Hex; readonly salt: Hex }
): Encrypted => {
  if (value.length > VALUE_BYTES_MAX) {
    throw new InputRejected({ argument: "value", reason: `has ${value.length} bytes, at most ${VALUE_BYTES_MAX} fit` })
  }
  const { epoch } = committee
  const handle = handleOf({ chainId, registry: addresses.registry, owner, salt })
  const identity = identityBytes({ chainId, registry: fromHex(addresses.registry), handle: fromHex(handle) })
  const ciphertext = sealCiphertext(nobleEngine, { publicKey: decryptionKeyOf(committee), epoch, identity }, value)
  return { handle, ciphertext, digest: toHex(createHash("sha256").update(ciphertext).digest()), owner, salt, epoch }
}
