/** Where a node keeps its secrets: sealed at rest, opened into memory of its own when an epoch is first used. */
import { Context, type Effect, Schema } from "effect"
import type { NodeId } from "../domain/committee.ts"
import type { Fate } from "../domain/fate.ts"
import type { Hex } from "../domain/hex.ts"
import type { SecretScalar } from "../threshold/engine.ts"

/** Sealed secrets cannot be opened: wrong key, altered file, not for this node. Says which file and why, never what is in it. */
export class VaultRejected extends Schema.TaggedError<VaultRejected>()("VaultRejected", {
  file: Schema.String,
  reason: Schema.String
}) {
  readonly fate: Fate = "halt"
  override get message() {
    return `${this.file}: ${this.reason}`
  }
}

/** One epoch's secrets, owned by the vault, which overwrites them when it closes. */
export interface EpochSecrets {
  readonly epoch: number
  /** x_i and a_i. */
  readonly decryption: SecretScalar
  readonly attestation: SecretScalar
  /**
   * pk and apk as they were dealt, 96 bytes each: sealed with the secrets, so that no chain endpoint can put others in their
   * place.
   */
  readonly decryptionKey: Uint8Array
  readonly attestationKey: Uint8Array
}

export class ShareVault extends Context.Service<
  ShareVault,
  {
    readonly nodeId: NodeId
    /** Address of the identity key. */
    readonly identity: Hex
    /** A dealer that has seen the whole key made these secrets: nothing of value may depend on them. */
    readonly isForDevelopment: boolean
    /** Epochs it has shares of, ascending. */
    readonly epochs: ReadonlyArray<number>
    /** 65 bytes (r, s, v with v 27 or 28, low s), always the same for one 32-byte digest (RFC 6979). */
    readonly signDigest: (digest: Hex) => Uint8Array
    /** Undefined when it has no share of this epoch. */
    readonly secrets: (epoch: number) => Effect.Effect<EpochSecrets | undefined, VaultRejected>
  }
>()("portcullis/kms-node/ShareVault") {}
