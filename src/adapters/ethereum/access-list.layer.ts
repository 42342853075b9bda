/**
 * The access list, asked through `inspect` at a recorded block. A yes is remembered under the hash of that block and all that it depends on
 * (ADR 0025), so that it answers nothing that the chain would not answer there; a no ends a request, and each hears its own from the chain.
 */
import { Effect, Layer } from "effect"
import { AccessList, type FinalityPolicy, type Permission } from "../../journey/2-acl-checked/access-list.port.ts"
import { type DecryptionRequest, type RequestId, requestIdOf } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { type CacheBounds, Cache } from "../../resilience/cache.ts"
import { type CacheMeter, meterHere } from "../../resilience/cache-meter.ts"
import type { Contracts } from "./addresses.ts"
import { finalityOf } from "./finality.ts"
import { findFulfilment } from "./fulfilment.ts"
import { inspect, type Inspection } from "./inspection.ts"
import { type BlockHeader, identical, type Rpc } from "./rpc.ts"
import { StatusDesk } from "./status-desk.ts"

/** At most 2 KiB each. What an endpoint got wrong is asked for again after a minute, though the block may stay the newest final one for six. */
const REMEMBERED: CacheBounds = { entriesMax: 2_048, ageMsMax: 60_000 }

interface Meters {
  readonly answers: CacheMeter
  readonly blocks: CacheMeter
}

export const accessListLayer = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy) =>
  Layer.effect(
    AccessList,
    Effect.map(Effect.all({ answers: meterHere("access-list"), blocks: meterHere("access-list-blocks") }), (meters) =>
      accessListOf(rpc, contracts, policy, meters)
    )
  )

const accessListOf = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy, meters: Meters) => {
  const finality = finalityOf(rpc, policy, meters.blocks)
  const remembered = new Cache<Inspection, ChainUnavailable>(REMEMBERED, meters.answers)
  const desk = new StatusDesk(rpc, contracts.decryptionGateway)

  const inspected = (request: DecryptionRequest, head: BlockHeader) =>
    rpc.agreed({ about: "access-list", ask: inspect(rpc, contracts.decryptionGateway, request, head), settle: identical })

  /** What the list has against the request is the same for all who ask the same; where the request itself stands is not. */
  const found = Effect.fnUntraced(function* (id: RequestId, request: DecryptionRequest, head: BlockHeader) {
    const said = yield* remembered.get(questionAt(head, request), inspected(request, head), ({ denial }) => denial === undefined)
    if (said.requestId === id) return said
    if (said.denial !== undefined) return yield* inspected(request, head)
    const status = yield* desk.statusOf(id, head)
    return status === undefined ? yield* inspected(request, head) : { ...said, requestId: id, status }
  })

  const permission = Effect.fnUntraced(function* (id: RequestId, request: DecryptionRequest) {
    if (requestIdOf(request) !== id) return yield* new ChainUnavailable({ doing: "inspect", cause: "these contents have another id" })
    const head = yield* finality.newest
    const block = { blockNumber: head.number, blockHash: head.hash }
    const { status, blockTimestamp, denial } = yield* found(id, request, head)
    if (status === "unknown") return { type: "unknown", block } satisfies Permission as Permission
    if (status === "fulfilled") {
      const mined = yield* findFulfilment(rpc, contracts, id)
      return (mined === undefined ? { type: "unknown", block } : { type: "fulfilled", ...mined }) satisfies Permission as Permission
    }
    if (blockTimestamp > request.deadline) return { type: "expired", block } satisfies Permission as Permission
    return (denial === undefined ? { type: "allowed", block } : { type: "denied", reason: denial, block }) satisfies Permission as Permission
  })
  return AccessList.of({
    finality: (anchor) => rpc.together(finality.of(anchor)),
    permission: (id, request) => rpc.together(permission(id, request))
  })
}

/** All on which `denialOf` of the contract depends (contracts/src/DecryptionRequests.sol), and the block whose state it reads. */
const questionAt = ({ hash }: BlockHeader, { chainId, gateway, kind, epoch, requester, account, handles }: DecryptionRequest): string =>
  [hash, chainId, gateway, kind, epoch, ...(kind === "user" ? [requester, account] : []), ...handles].join(" ")
