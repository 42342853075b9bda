/** Who is in the cluster, and what operators have ordered. Heartbeats are worth a second and may be lost; orders and their history are kept. */
import { Context, type Effect } from "effect"
import type { NodeState, PauseTarget, Role } from "../domain/cluster.ts"
import type { WorkDone } from "../domain/work-rate.ts"
import type { LedgerUnavailable } from "./ledger-unavailable.ts"

/** One life of a node. */
export interface NodeLife {
  /** Name and boot nonce. */
  readonly worker: string
  readonly name: string
  readonly version: string
  readonly roles: ReadonlyArray<Role>
  /** Versions of the request machine whose snapshots it can read. */
  readonly machineVersions: ReadonlyArray<number>
}

export interface Beat extends NodeLife {
  readonly state: Exclude<NodeState, "gone">
  readonly uptimeMs: number
  /** What it has answered since its start. */
  readonly done: WorkDone
}

export interface ClusterNode extends NodeLife {
  /** As it said last. Who has been silent for NODE_DEAD_AFTER_MS is gone, whatever it said. */
  readonly state: NodeState
  readonly startedAtMs: number
  /** Since it was heard last, by the database's clock. */
  readonly silentMs: number
  /** When that was, by the same clock. */
  readonly heardAtMs: number
  /** What it had answered by then. */
  readonly done: WorkDone
  /** How it went, when it has said goodbye. */
  readonly farewell: string | null
}

export interface Pause {
  readonly target: PauseTarget
  readonly by: string
  readonly why: string
  readonly sinceMs: number
}

export interface DrainOrder {
  readonly by: string
  readonly why: string
}

/** What a node hears when it says that it lives. */
export interface Heard {
  /** Everything that is paused, the oldest first. */
  readonly pauses: ReadonlyArray<Pause>
  /** Set once an operator wants this life to end. */
  readonly drain: DrainOrder | null
  /** The roles of each of the other nodes that are joining or working and not silent. */
  readonly others: ReadonlyArray<ReadonlyArray<Role>>
}

/** What is done to a parked message. It happens on the bus, so it is written down before. */
export type MessageAction = "redrive message" | "drop message"

/** What an operator has done; append-only. */
export interface OperatorAction {
  readonly atMs: number
  readonly by: string
  readonly action: "pause" | "resume" | "drain" | "reconcile" | MessageAction
  /** What was paused or resumed, the worker that was to drain, the history that was to be compared with the chain, or the parked message and where it
   * was going. */
  readonly target: string
  readonly why: string
}

export class Cluster extends Context.Service<
  Cluster,
  {
    /** Answers the chain that this cluster serves: the one that was named first, by whomever. */
    readonly serve: (chainId: bigint) => Effect.Effect<bigint, LedgerUnavailable>
    /** Says that a node lives and in which state, and answers what it must know: one statement. A life that has left stays gone. */
    readonly beat: (beat: Beat) => Effect.Effect<Heard, LedgerUnavailable>
    /** The last word of a life. */
    readonly leave: (worker: string, farewell: string) => Effect.Effect<void, LedgerUnavailable>
    /** Nodes of the last NODE_REMEMBERED_MS, by worker. */
    readonly nodes: Effect.Effect<ReadonlyArray<ClusterNode>, LedgerUnavailable>
    /** The oldest first. */
    readonly pauses: Effect.Effect<ReadonlyArray<Pause>, LedgerUnavailable>
    /** `false`: it is paused already, and nothing was written. */
    readonly pause: (target: PauseTarget, by: string, why: string) => Effect.Effect<boolean, LedgerUnavailable>
    /** `false`: it is not paused, and nothing was written. */
    readonly resume: (target: PauseTarget, by: string, why: string) => Effect.Effect<boolean, LedgerUnavailable>
    /** Orders a life to drain; it hears of it with its next beat. `false`: it was ordered before, and nothing was written. */
    readonly drain: (worker: string, by: string, why: string) => Effect.Effect<boolean, LedgerUnavailable>
    /** Writes down what an operator is about to do to a parked message. */
    readonly noteMessageAction: (action: MessageAction, target: string, by: string, why: string) => Effect.Effect<void, LedgerUnavailable>
    /** The newest first. */
    readonly actions: (limit: number) => Effect.Effect<ReadonlyArray<OperatorAction>, LedgerUnavailable>
  }
>()("portcullis/ledger/Cluster") {}
