/** What `detect-requests` needs from the chain. Never asked by number ranges at the tip: a lagging endpoint would answer "nothing". */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import type { Anchor, DecryptionRequest, RequestId } from "../../domain/request.ts"

/** The chain could not be asked, or its answer contradicts itself. Nothing is known. */
export class ChainUnavailable extends Schema.TaggedError<ChainUnavailable>()("ChainUnavailable", {
  doing: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "retry"
}

export interface BlockHead {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
  /** Unix seconds. */
  readonly timestamp: number
}

/** A block with the decryption requests in it, in log order; the bloom filter and every log's block hash have been checked. */
export interface ReadBlock extends BlockHead {
  readonly requests: ReadonlyArray<{ readonly id: RequestId; readonly facts: DecryptionRequest; readonly anchor: Anchor }>
}

export class RequestLog extends Context.Service<
  RequestLog,
  {
    readonly chainId: bigint
    readonly latest: Effect.Effect<BlockHead, ChainUnavailable>
    /** The newest block that the chain itself calls final. Another endpoint than the one that answers may have another block at its height. */
    readonly finalized: Effect.Effect<BlockHead, ChainUnavailable>
    /** What two endpoints, where there are two, call final at this height: undefined for one that has no block there or does not call it final. */
    readonly finalAt: (number: number) => Effect.Effect<ReadonlyArray<BlockHead | undefined>, ChainUnavailable>
    /** Undefined when the chain has no block at this height. */
    readonly readBlock: (number: number) => Effect.Effect<ReadBlock | undefined, ChainUnavailable>
    /** The same, of another endpoint than usual where there is one: for reading a second time. */
    readonly readElsewhere: (number: number) => Effect.Effect<ReadBlock | undefined, ChainUnavailable>
    /** Ends when somebody says that there is a new block; may say so falsely, or never: whoever waits for it looks by itself, too. */
    readonly nextHead: Effect.Effect<void>
    /** Only the header; undefined when the chain has no block at this height. */
    readonly headAt: (number: number) => Effect.Effect<BlockHead | undefined, ChainUnavailable>
  }
>()("portcullis/journey/1-detected/RequestLog") {}
