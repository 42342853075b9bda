/** `DecryptionGateway.inspect`: all that decides whether a request may be answered, in one call and from one block. */
import { Effect } from "effect"
import { Interface } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { KIND_NUMBER, type DecryptionRequest } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Denial } from "../../journey/2-acl-checked/access-list.port.ts"
import { abi } from "./generated/DecryptionGateway.ts"
import type { BlockTag, Rpc } from "./rpc.ts"

export const gatewayInterface = new Interface(abi)

export interface Inspection {
  readonly requestId: Hex
  readonly status: "unknown" | "requested" | "fulfilled"
  /** Unix seconds of the block that was asked. */
  readonly blockTimestamp: number
  /** Undefined exactly when allowed. */
  readonly denial: Denial | undefined
  readonly digests: ReadonlyArray<Hex>
  readonly sizesBytes: ReadonlyArray<number>
}

const STATUSES = ["unknown", "requested", "fulfilled"] as const
/** DENIAL_* of the contract, in its order. */
const DENIALS: ReadonlyArray<Denial | undefined> = [
  undefined,
  "unknown-request",
  "unknown-request",
  "epoch-retired",
  "not-public",
  "not-allowed",
  "not-delegated",
  "unknown-request"
]

export const requestStruct = (request: DecryptionRequest) => ({
  kind: KIND_NUMBER[request.kind],
  requester: request.requester,
  account: request.account,
  epoch: request.epoch,
  deadline: request.deadline,
  callbackGas: request.callbackGas,
  handles: request.handles,
  transportKey: request.transportKey,
  salt: request.salt
})

export const inspect = Effect.fnUntraced(function* (rpc: Rpc, gateway: Hex, request: DecryptionRequest, at: BlockTag) {
  const data = gatewayInterface.encodeFunctionData("inspect", [requestStruct(request)])
  const answer = yield* rpc.call(gateway, data, at).pipe(
    Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "inspect", cause })))
  )
  return yield* Effect.try({
    try: () => inspectionOf(gatewayInterface.decodeFunctionResult("inspect", answer)[0] as RawInspection),
    catch: (cause) => new ChainUnavailable({ doing: "inspect: decode", cause })
  })
})

interface RawInspection {
  readonly requestId: string
  readonly status: bigint
  readonly blockTimestamp: bigint
  readonly allowed: boolean
  readonly denial: bigint
  readonly digests: ReadonlyArray<string>
  readonly sizes: ReadonlyArray<bigint>
}

const inspectionOf = (raw: RawInspection): Inspection => ({
  requestId: lower(raw.requestId),
  status: STATUSES[Number(raw.status)] ?? "unknown",
  blockTimestamp: Number(raw.blockTimestamp),
  // An unknown denial is still a denial.
  denial: raw.allowed ? undefined : (DENIALS[Number(raw.denial)] ?? "unknown-request"),
  digests: [...raw.digests].map(lower),
  sizesBytes: [...raw.sizes].map(Number)
})
