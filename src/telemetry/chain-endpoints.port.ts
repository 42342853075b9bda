/** How each RPC endpoint of the chain is doing, for whoever shows it. Endpoints are named by number and host: their URLs may hold keys. */
import { Context, type Effect } from "effect"

/** From well to useless; metrics show the position in this list. */
export const ENDPOINT_STATES = ["alive", "unknown", "finality-missing", "out-of-sync", "unreachable", "wrong-chain"] as const
export type EndpointState = (typeof ENDPOINT_STATES)[number]

/** What endpoints can contradict each other about. */
export const DISAGREEMENTS = ["head", "finalized", "block", "logs", "access-list", "gas"] as const
export type Disagreement = (typeof DISAGREEMENTS)[number]

export interface EndpointView {
  /** Position in PORTCULLIS_RPC_URL, from 1. */
  readonly number: number
  readonly host: string
  readonly state: EndpointState
  /** Newest block that it showed, if it showed any. */
  readonly head: number | undefined
  readonly finalized: number | undefined
}

export class ChainEndpoints extends Context.Service<
  ChainEndpoints,
  {
    /** In the operator's order. */
    readonly view: Effect.Effect<ReadonlyArray<EndpointView>>
  }
>()("portcullis/telemetry/ChainEndpoints") {}
