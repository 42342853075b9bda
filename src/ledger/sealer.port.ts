/** Seals what rests in the ledger and must not be readable in a copy of it: shares and results. */
import { Context, type Effect, Schema } from "effect"
import type { Fate } from "../domain/fate.ts"

/** The keys could not be asked. Nothing was sealed or opened. */
export class SealerUnavailable extends Schema.TaggedError<SealerUnavailable>()("SealerUnavailable", { cause: Schema.Defect() }) {
  readonly fate: Fate = "retry"
}

/**
 * What was found is not what was sealed for this row: altered, moved here from another row, or under a key that nobody here
 * knows.
 */
export class SealRejected extends Schema.TaggedError<SealRejected>()("SealRejected", { reason: Schema.String }) {
  readonly fate: Fate = "halt"
}

/** Names the row that the bytes belong to; bound to them, not secret. */
export type SealContext = Readonly<Record<string, string>>

export class Sealer extends Context.Service<
  Sealer,
  {
    /** The bytes given stay the caller's to zeroise. */
    readonly seal: (context: SealContext, plain: Uint8Array) => Effect.Effect<Uint8Array, SealerUnavailable>
    readonly open: (context: SealContext, sealed: Uint8Array) => Effect.Effect<Uint8Array, SealerUnavailable | SealRejected>
  }
>()("portcullis/ledger/Sealer") {}
