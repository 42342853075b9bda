/**
 * What a node has given out, written down before it leaves the node: for audits, for counting what is in the wild, and so that a
 * node that would contradict itself stays silent instead. Hashes and ids only; never a share, a result or a plaintext.
 */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"
import type { Hex } from "../domain/hex.ts"
import type { RequestId, RequestKind } from "../domain/request.ts"

/** The entry could not be written. What it was about must not be given out. */
export class AnswerLogUnavailable extends Schema.TaggedError<AnswerLogUnavailable>()("AnswerLogUnavailable", {
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

/**
 * Another answer to the same request was given out before. Shares are deterministic, so this is our own bug or a swapped share
 * file.
 */
export class AnswerContradicts extends Schema.TaggedError<AnswerContradicts>()("AnswerContradicts", {
  requestId: Schema.String
}) {
  readonly fate: Fate = "halt"
}

interface Entry {
  /** Milliseconds since the Unix epoch, by the node's clock. */
  readonly atMs: number
  /** Who asked: the subject of the client certificate, or the peer's address. */
  readonly caller: string
  readonly epoch: number
}

export interface ShareEntry extends Entry {
  readonly type: "share"
  readonly requestId: RequestId
  readonly kind: RequestKind
  readonly handles: number
  /** keccak256 of the shares, concatenated: what the identity has signed. */
  readonly sharesHash: Hex
}

export interface AttestEntry extends Entry {
  readonly type: "attest"
  readonly root: Hex
  readonly requestIds: ReadonlyArray<RequestId>
}

export type AnswerEntry = ShareEntry | AttestEntry

export class AnswerLog extends Context.Service<
  AnswerLog,
  {
    /**
     * Returns when the entry would survive the end of this process. A repeated share entry is written again: it was given out
     * again.
     */
    readonly record: (entry: AnswerEntry) => Effect.Effect<void, AnswerLogUnavailable | AnswerContradicts>
  }
>()("portcullis/kms-node/AnswerLog") {}
