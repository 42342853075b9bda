/** What a simulated gateway finds around it: the one world that all of them share. */
import type { Cause, Effect, Layer, Scope } from "effect"
import type { startGateway } from "../../bin/gateway.ts"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import type { Handle } from "../../src/domain/handle.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { ClusterShape } from "../rig.ts"
import type { Endpoint } from "./chain/endpoint.ts"
import type { LaneTx } from "./chain/sim-block.ts"
import type { Chance } from "./chance.ts"
import type { EventLoop, Process } from "./event-loop.ts"
import type { History } from "./history.ts"
import type { SimCommittee } from "./kms/sim-committee.ts"
import type { SimKmsNode } from "./kms/sim-kms-node.ts"
import type { MemoryDatabase } from "./ledger/memory-database.ts"
import type { SimObjectStore } from "./object-store.ts"
import type { Broker } from "./sim-bus.ts"
import type { Alarm } from "./sim-telemetry.ts"

/** All that `startGateway` wants: whatever the real composition comes to need, the simulated one must have. */
export type NodeServices = Layer.Layer<Exclude<Effect.Services<ReturnType<typeof startGateway>>, Scope.Scope>>

/** Wraps the services of a node: where a test plants a bug. */
export type Mutation = (services: NodeServices) => NodeServices

export interface Surrounded {
  readonly name: string
  readonly process: Process
  readonly kill: () => void
}

export interface Surroundings {
  readonly shape: ClusterShape
  readonly chance: Chance
  readonly loop: EventLoop
  readonly process: Process
  readonly history: History
  readonly chainId: bigint
  readonly gateway: Hex
  readonly registry: Hex
  /** Called once each, at the next block. */
  readonly heads: Set<() => void>
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly committee: SimCommittee
  readonly records: ReadonlyMap<Handle, CiphertextRecord>
  readonly kmsNodes: ReadonlyArray<SimKmsNode>
  readonly broker: Broker
  readonly store: SimObjectStore
  readonly database: MemoryDatabase
  readonly died: Array<Alarm>
  readonly mutation: Mutation
  readonly onMoment: (node: Surrounded, moment: "before" | "after", service: string, what: string) => void
  readonly onBroadcast: (tx: LaneTx) => void
  readonly onStartFailed: (node: Surrounded, cause: Cause.Cause<unknown>) => void
}
