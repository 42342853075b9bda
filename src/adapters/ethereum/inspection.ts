/** `DecryptionGateway.inspect`: all that decides whether a request may be answered, in one call and from one block. */
import { Effect } from "effect"
import { Interface } from "ethers"
import type { Hex } from "../../domain/hex.ts"
import { requestIdOf, type DecryptionRequest } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Denial } from "../../journey/2-acl-checked/access-list.port.ts"
import { abi } from "./generated/DecryptionGateway.ts"
import { decodeInspection, encodeInspect, type RawInspection } from "./inspect-abi.ts"
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

/** `at` is a block that the endpoint showed us before: what it says now has to be about that one. */
export const inspect = Effect.fnUntraced(function* (
  rpc: Rpc,
  gateway: Hex,
  request: DecryptionRequest,
  at: "latest" | BlockHeader
) {
  const answer = yield* rpc.call(gateway, encodeInspect(request), at === "latest" ? at : { hash: at.hash }).pipe(
    Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "inspect", cause })))
  )
  const found = yield* Effect.try({
    try: () => inspectionOf(decodeInspection(answer)),
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

const inspectionOf = (raw: RawInspection): Inspection => ({
  requestId: raw.requestId,
  status: statusFrom(raw.status),
  blockTimestamp: raw.blockTimestamp,
  // An unknown denial is still a denial.
  denial: raw.allowed ? undefined : (DENIALS[raw.denial] ?? "unknown-request"),
  digests: raw.digests,
  sizesBytes: raw.sizes
})
