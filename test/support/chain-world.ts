/** The few verbs with which tests change what a KMS node can see on a chain. The double and a real chain both speak them. */
import type { Committee } from "../../src/domain/committee.ts"
import type { Handle } from "../../src/domain/handle.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import type { NodeChainView } from "../../src/kms-node/node-chain-view.port.ts"

export type View = NodeChainView["Service"]

export interface UserRequestOf {
  readonly handles: ReadonlyArray<Handle>
  /** The owner's account unless named. */
  readonly account?: Hex
  readonly transportKey: Hex
}

export interface ChainWorld {
  /** Under the policies `latest` and `confirmations: 2`. */
  readonly view: View
  readonly settledView: View
  readonly committee: Committee
  /** Owner of every handle, and whoever makes every request. */
  readonly owner: Hex
  readonly requester: Hex
  /** The handle that this salt will have: something can be encrypted to it before it is registered. */
  readonly handleFor: (salt: Hex) => Handle
  readonly register: (salt: Hex, digest: Hex, sizeBytes: number) => Promise<Handle>
  readonly allowPublic: (handle: Handle) => Promise<void>
  readonly allow: (handle: Handle, account: Hex) => Promise<void>
  readonly requestPublic: (handles: ReadonlyArray<Handle>) => Promise<DecryptionRequest>
  readonly requestUser: (of: UserRequestOf) => Promise<DecryptionRequest>
  readonly fulfil: (request: DecryptionRequest) => Promise<void>
  readonly retireEpoch: () => Promise<void>
  /** Empty blocks. */
  readonly mine: (blocks: number) => Promise<void>
  /** Time passes on the chain, and a block is mined. */
  readonly pass: (seconds: number) => Promise<void>
}

/** How long a request of a test lives, in seconds of the chain's time. */
export const REQUEST_LIFETIME_SECONDS = 3_600
