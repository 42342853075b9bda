/** The access list, asked through `inspect` at a recorded block. */
import { Effect, Layer } from "effect"
import { type CacheMeter, meterHere } from "../../resilience/cache-meter.ts"
import { AccessList, type FinalityPolicy, type Permission } from "../../journey/2-acl-checked/access-list.port.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Contracts } from "./addresses.ts"
import { finalityOf } from "./finality.ts"
import { findFulfilment } from "./fulfilment.ts"
import { inspect } from "./inspection.ts"
import { identical, type Rpc } from "./rpc.ts"

export const accessListLayer = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy) =>
  Layer.effect(AccessList, Effect.map(meterHere("access-list-blocks"), (blocks) => accessListOf(rpc, contracts, policy, blocks)))

const accessListOf = (rpc: Rpc, contracts: Contracts, policy: FinalityPolicy, blocks: CacheMeter) => {
  const finality = finalityOf(rpc, policy, blocks)
  const permission = Effect.fnUntraced(function* (id: RequestId, request: DecryptionRequest) {
    const head = yield* finality.newest
    const block = { blockNumber: head.number, blockHash: head.hash }
    const ask = inspect(rpc, contracts.decryptionGateway, request, head)
    const found = yield* rpc.agreed({ about: "access-list", ask, settle: identical })
    if (found.requestId !== id) {
      return yield* new ChainUnavailable({ doing: "inspect", cause: "these contents have another id" })
    }
    if (found.status === "unknown") return { type: "unknown", block } satisfies Permission as Permission
    if (found.status === "fulfilled") {
      const mined = yield* findFulfilment(rpc, contracts, id)
      return (mined === undefined ? { type: "unknown", block } : { type: "fulfilled", ...mined }) satisfies Permission as Permission
    }
    if (found.blockTimestamp > request.deadline) return { type: "expired", block } satisfies Permission as Permission
    return (
      found.denial === undefined ? { type: "allowed", block } : { type: "denied", reason: found.denial, block }
    ) satisfies Permission as Permission
  })
  return AccessList.of({
    finality: (anchor) => rpc.together(finality.of(anchor)),
    permission: (id, request) => rpc.together(permission(id, request))
  })
}
