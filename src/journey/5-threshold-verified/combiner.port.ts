/** Heavy curve work, wherever it runs. Everything in a batch belongs to one committee; blame is found inside, once, only when needed. */
import { Context, type Effect, Schema } from "effect"
import type { Committee, NodeId } from "../../domain/committee.ts"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"

/** The workers could not take or finish the job (full queue, crash). Nothing is known about the shares. */
export class CombinerUnavailable extends Schema.TaggedError<CombinerUnavailable>()("CombinerUnavailable", {
  reason: Schema.String
}) {
  readonly fate: Fate = "retry"
}

export interface CombineTask {
  readonly requestId: RequestId
  readonly request: DecryptionRequest
  /** Address of the CiphertextRegistry, part of every identity. */
  readonly registry: Hex
  /** At least k answers, in order of preference: the first k are combined; the others stand in when one of them lies. */
  readonly answers: ReadonlyArray<{ readonly nodeId: NodeId; readonly shares: ReadonlyArray<Uint8Array> }>
  /** Public requests: the whole ciphertext of each handle. User requests: empty. */
  readonly ciphertexts: ReadonlyArray<Uint8Array>
}

export type Combined =
  | {
      readonly type: "public"
      /** abi.encode(bytes[]) of the plaintexts. */
      readonly result: Uint8Array
      /** The IBE seed of each ciphertext, with which nodes re-check the plaintext. Secret until submitted. */
      readonly sigmas: ReadonlyArray<Uint8Array>
      readonly nodes: ReadonlyArray<NodeId>
      readonly liars: ReadonlyArray<NodeId>
    }
  | {
      readonly type: "user"
      /** abi.encode(bytes[]) of the encrypted keys. */
      readonly result: Uint8Array
      readonly nodes: ReadonlyArray<NodeId>
      readonly liars: ReadonlyArray<NodeId>
    }
  /** Fewer than k of the answers are right. */
  | { readonly type: "too-few"; readonly liars: ReadonlyArray<NodeId> }
  /** The key is right, and still this ciphertext does not open: it was made wrong. */
  | { readonly type: "ciphertext-malformed"; readonly handle: Hex; readonly reason: string; readonly liars: ReadonlyArray<NodeId> }
  | { readonly type: "transport-key-invalid" }

export type CombinedAttestation =
  | { readonly type: "attested"; /** As the contract takes it: 128-byte uncompressed G1. */ readonly attestation: Uint8Array; readonly liars: ReadonlyArray<NodeId> }
  | { readonly type: "too-few"; readonly liars: ReadonlyArray<NodeId> }

export class Combiner extends Context.Service<
  Combiner,
  {
    /** Answers in the order of the tasks. */
    readonly combine: (committee: Committee, tasks: ReadonlyArray<CombineTask>) => Effect.Effect<ReadonlyArray<Combined>, CombinerUnavailable>
    /** BLS parts of an attestation over a 32-byte digest. */
    readonly combineAttestation: (
      committee: Committee,
      digest: Hex,
      parts: ReadonlyArray<{ readonly nodeId: NodeId; readonly part: Uint8Array }>
    ) => Effect.Effect<CombinedAttestation, CombinerUnavailable>
  }
>()("portcullis/journey/5-threshold-verified/Combiner") {}
