/**
 * A KMS node's own view of the chain: `DecryptionGateway.inspect` at a block that the node's operator finds final enough. Calls
 * made in the same turn of the event loop travel in one HTTP request (see rpc.ts).
 */
import { Effect, Layer } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { DecryptionRequest } from "../../domain/request.ts"
import type { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import {
  ChainViewUnavailable,
  type Inspection as NodeInspection,
  NodeChainView,
  type NodeFinalityPolicy
} from "../../kms-node/node-chain-view.port.ts"
import type { Contracts } from "./addresses.ts"
import { readCommittee } from "./committees.layer.ts"
import { finalityOf } from "./finality.ts"
import { inspect, type Inspection } from "./inspection.ts"
import { identical, type BlockHeader, type Rpc } from "./rpc.ts"

const UNREGISTERED: Hex = `0x${"00".repeat(32)}`

const unavailable = ({ doing, cause }: ChainUnavailable) => new ChainViewUnavailable({ doing, cause })

const viewOf = (found: Inspection, status: NodeInspection["status"], isExpired: boolean): NodeInspection => ({
  status,
  isExpired,
  denial: found.denial,
  digests: found.digests.map((digest) => (digest === UNREGISTERED ? undefined : digest))
})

export const nodeChainViewLayer = (rpc: Rpc, contracts: Contracts, policy: NodeFinalityPolicy): Layer.Layer<NodeChainView> => {
  const settled = finalityOf(rpc, policy)
  const tip = finalityOf(rpc, { type: "latest" })
  const gateway = contracts.decryptionGateway

  const inspectAt = (request: DecryptionRequest, at: "latest" | BlockHeader) =>
    rpc.agreed({ about: "access-list", ask: inspect(rpc, gateway, request, at), settle: identical })

  /** Nothing remembered: a gateway may ask within milliseconds of the block that has the request. */
  const inspectLatest = (request: DecryptionRequest) =>
    Effect.map(inspectAt(request, "latest"), (found) => viewOf(found, found.status, found.blockTimestamp > request.deadline))

  const inspectSettled = Effect.fnUntraced(function* (request: DecryptionRequest) {
    const [final, newest] = yield* Effect.all([settled.newest, tip.newest], { concurrency: "unbounded" })
    const found = yield* inspectAt(request, final)
    const isExpired = newest.timestamp > request.deadline
    if (found.status !== "unknown") return viewOf(found, found.status, isExpired)
    const newer = yield* inspectAt(request, "latest")
    return viewOf(found, newer.status === "unknown" ? "unknown" : "unsettled", isExpired)
  })

  return Layer.succeed(NodeChainView, {
    chainId: contracts.chainId,
    gateway,
    registry: contracts.ciphertextRegistry,
    inspect: (request) =>
      rpc.together(policy.type === "latest" ? inspectLatest(request) : inspectSettled(request)).pipe(Effect.mapError(unavailable)),
    committee: (epoch) =>
      readCommittee(rpc, contracts, epoch).pipe(
        Effect.catchTag("EpochUnusable", () => Effect.succeed(undefined)),
        Effect.mapError(unavailable)
      )
  })
}
