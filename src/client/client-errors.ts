/**
 * Everything the client library fails with: what is known, and in `advice` what to do about it. Tell them apart by `_tag` or
 * `instanceof`.
 */
import { TaggedError } from "effect/Data"
import type { Fate } from "../domain/fate.ts"
import type { Hex } from "../domain/hex.ts"

/** An argument that cannot be meant. Nothing was sent. */
export class InputRejected extends TaggedError("InputRejected")<{ readonly argument: string; readonly reason: string }> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `${this.argument}: ${this.reason}`
  }
  get advice(): string {
    return "Correct the argument; nothing was sent."
  }
}

/** The client was connected with a provider only, and this needs a signature. */
export class SignerNeeded extends TaggedError("SignerNeeded")<{ readonly doing: string }> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `${this.doing} needs a signer`
  }
  get advice(): string {
    return "Connect with `connect({ signer, gateway })`."
  }
}

/**
 * The chain could not be asked, or did not answer in a way that can be read. Nothing is known: a transaction may or may not
 * have been sent.
 */
export class ChainUnreachable extends TaggedError("ChainUnreachable")<{ readonly doing: string; readonly cause: unknown }> {
  readonly fate: Fate = "retry"
  override get message(): string {
    return `${this.doing}: the chain could not be asked`
  }
  get advice(): string {
    return "Try again, with the same arguments and the same salt: what has happened already is recognised, not repeated."
  }
}

/** There is no Portcullis gateway at this address of this chain. */
export class NotAGateway extends TaggedError("NotAGateway")<{ readonly address: Hex; readonly chainId: bigint }> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `no Portcullis gateway at ${this.address} on chain ${this.chainId}`
  }
  get advice(): string {
    return "Check the address of the DecryptionGateway contract, and that the provider speaks to the right chain."
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  AlreadyRegistered: "This salt is taken by another ciphertext: encrypt again without naming a salt.",
  UnknownHandle: "Register the ciphertext first, and wait until that transaction is mined.",
  MixedEpochs: "Ask for handles of different epochs in different requests.",
  EpochNotActive: "The committee was retired or never registered: encrypt for the latest epoch.",
  AlreadyRequested: "This very request exists: wait for its result, or ask again with another salt.",
  DeadlineOutOfRange: "Choose a deadline at most 7 days ahead.",
  CallbackGasOutOfRange: "A callback gets at most 500,000 gas.",
  HandleCountOutOfRange: "Ask for 1 to 32 handles at once.",
  DuplicateHandle: "Name each handle once.",
  InvalidAccount: "Name an account that is not the zero address.",
  InvalidTransportKey: "Use a transport secret made by this library.",
  NotOwner: "Only the account that registered the handle can change who may decrypt it.",
  ExpiryInThePast: "Let the delegation end in the future.",
  LocationCountOutOfRange: "Name 1 to 4 locations.",
  LocationLengthOutOfRange: "A location has 1 to 256 bytes."
}

/** A contract said no. The transaction was not sent, or was mined without effect. */
export class ContractRefused extends TaggedError("ContractRefused")<{
  readonly doing: string
  /** The Solidity error's name; "revert" when it has none that we know. */
  readonly error: string
  readonly details: ReadonlyArray<string>
}> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `${this.doing}: the contract said ${this.error}(${this.details.join(", ")})`
  }
  get advice(): string {
    return ADVICE[this.error] ?? "Compare the contract's version with this library's; the transaction changed nothing."
  }
}

/** The committee that this needs does not exist, is retired, or does not speak our protocol. */
export class CommitteeUnusable extends TaggedError("CommitteeUnusable")<{ readonly epoch: number; readonly reason: string }> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return `committee of epoch ${this.epoch}: ${this.reason}`
  }
  get advice(): string {
    return "Use the latest active epoch of this deployment, and a version of this library that speaks its suite."
  }
}

export type ResultFault =
  | "not the result that the contract has recorded"
  | "not a list of items"
  | "another number of items than handles"
  | "the request is not on this chain"
  | "asked for with another transport key"
  | "no ciphertext with the registered digest was given"
  | "the ciphertext is not one for this handle"
  | "the key inside is not the committee's for this handle"
  | "its transaction carries no attestation that can be read"
  | "the attestation is not for this result"
  | "the attestation is not the committee's"

/** A result that must not be believed. Nothing of it is returned. */
export class ResultRejected extends TaggedError("ResultRejected")<{
  readonly requestId: Hex
  readonly reason: ResultFault
  /** The handle concerned, where it is one. */
  readonly handle?: Hex
}> {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `result of ${this.requestId}${this.handle === undefined ? "" : `, handle ${this.handle}`}: ${this.reason}`
  }
  get advice(): string {
    switch (this.reason) {
      case "no ciphertext with the registered digest was given":
        return "Give the very bytes that were registered; fetch them from one of the handle's locations."
      case "asked for with another transport key":
        return "Use the transport secret that the request was made with."
      case "the request is not on this chain":
        return "Check the request id and the provider; a reorganisation may have removed it for the moment."
      case "its transaction carries no attestation that can be read":
        return "The result came through another contract: verify that transaction by its own rules."
      default:
        return "Do not use it. Ask another RPC endpoint; if that says the same, keep the transaction and report it."
    }
  }
}

/** The transport secret has been destroyed. */
export class SecretDestroyed extends TaggedError("SecretDestroyed")<Record<never, never>> {
  readonly fate: Fate = "refuse"
  override get message(): string {
    return "this transport secret has been destroyed"
  }
  get advice(): string {
    return "Make a new one and ask again; results for the old one can no longer be opened."
  }
}
