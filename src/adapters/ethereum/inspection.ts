/** `DecryptionGateway.inspect`: all that decides whether a request may be answered, in one call and from one block. */
import { Effect } from "effect"
import { Interface } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { KIND_NUMBER, requestIdOf, type DecryptionRequest } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Denial } from "../../journey/2-acl-checked/access-list.port.ts"
import { abi } from "./generated/DecryptionGateway.ts"
import type { BlockHeader, Rpc } from "./rpc.ts"

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

const STATUSES: ReadonlyArray<Inspection["status"]> = ["unknown", "requested", "fulfilled"]

/** STATUS_* of the contract. Throws on a number that it does not have: not knowing is not "unknown". */
export const statusFrom = (number: unknown): Inspection["status"] => {
  const status = STATUSES[Number(number)]
  if (status === undefined) throw new TypeError(`no status ${String(number)}`)
  return status
}

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

/** `at` is a block that the endpoint showed us before: what it says now has to be about that one. */
export const inspect = Effect.fnUntraced(function* (
  rpc: Rpc,
  gateway: Hex,
  request: DecryptionRequest,
  at: "latest" | BlockHeader
) {
  const data = gatewayInterface.encodeFunctionData("inspect", [requestStruct(request)])
  const answer = yield* rpc.call(gateway, data, at === "latest" ? at : { hash: at.hash }).pipe(
    Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "inspect", cause })))
  )
  const found = yield* Effect.try({
    try: () => inspectionOf(gatewayInterface.decodeFunctionResult("inspect", answer)[0] as RawInspection),
    catch: (cause) => new ChainUnavailable({ doing: "inspect: decode", cause })
  })
  const contradiction = contradictionIn(found, request, at)
  return contradiction === undefined ? found : yield* new ChainUnavailable({ doing: "inspect", cause: contradiction })
})

const contradictionIn = (found: Inspection, request: DecryptionRequest, at: "latest" | BlockHeader): string | undefined => {
  if (found.requestId !== requestIdOf(request)) return "the contract computes another id: wrong contract or chain"
  const handles = request.handles.length
  if (found.digests.length !== handles || found.sizesBytes.length !== handles) return "not one digest for each handle"
  // An endpoint that ignores `blockHash` answers about its newest block.
  if (at !== "latest" && found.blockTimestamp !== at.timestamp) return `an answer about another block than ${at.number}`
  return undefined
}

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
  status: statusFrom(raw.status),
  blockTimestamp: Number(raw.blockTimestamp),
  // An unknown denial is still a denial.
  denial: raw.allowed ? undefined : (DENIALS[Number(raw.denial)] ?? "unknown-request"),
  digests: [...raw.digests].map(lower),
  sizesBytes: [...raw.sizes].map(Number)
})
