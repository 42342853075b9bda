/** Who holds shares: one record for each epoch, public, pinned when a request is detected and never taken from a response. */
import assert from "node:assert/strict"
import type { Hex } from "./hex.ts"

/** 1..n, distinct; 0 would be the secret itself. */
export type NodeId = number

export interface CommitteeNode {
  readonly id: NodeId
  /** Ethereum address of the node's identity key. */
  readonly identity: Hex
  /** host:port of its gRPC service, or a name the operator maps to one. */
  readonly endpoint: string
  /** pk_i, compressed G2. */
  readonly decryptionKey: Hex
  /** apk_i, compressed G2. */
  readonly attestationKey: Hex
}

export type AttestationScheme = "bls" | "quorum"

export interface Committee {
  readonly epoch: number
  readonly suiteId: Hex
  readonly threshold: number
  readonly nodes: ReadonlyArray<CommitteeNode>
  /** pk, compressed G2. */
  readonly decryptionKey: Hex
  /** apk, compressed G2. */
  readonly attestationKey: Hex
  readonly scheme: AttestationScheme
  readonly isRetired: boolean
}

export const nodeOf = (committee: Committee, id: NodeId): CommitteeNode => {
  const node = committee.nodes.find((candidate) => candidate.id === id)
  assert(node !== undefined, `epoch ${committee.epoch} has no node ${id}`)
  return node
}
