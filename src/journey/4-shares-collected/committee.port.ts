/** The committee record of an epoch, as the chain has it. */
import { Context, type Effect, Schema } from "effect"
import type { Committee } from "../../domain/committee.ts"
import type { Fate } from "../../domain/fate.ts"
import type { ChainUnavailable } from "../1-detected/request-log.port.ts"

/** A request names an epoch that the registry does not know or that speaks another suite: impossible unless something is misconfigured. */
export class EpochUnusable extends Schema.TaggedError<EpochUnusable>()("EpochUnusable", {
  epoch: Schema.Int,
  reason: Schema.String
}) {
  readonly fate: Fate = "halt"
}

export class Committees extends Context.Service<
  Committees,
  {
    readonly committee: (epoch: number) => Effect.Effect<Committee, ChainUnavailable | EpochUnusable>
    /** The newest epoch: what clients encrypt for now. For health and doctors; a request names its own epoch. */
    readonly current: Effect.Effect<Committee, ChainUnavailable | EpochUnusable>
  }
>()("portcullis/journey/4-shares-collected/Committees") {}
