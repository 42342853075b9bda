/**
 * What a request asked for, from the event that raised it. The id commits to all of it, so an endpoint cannot tell a false
 * story about it.
 */
import type { Log, LogDescription, TransactionReceipt } from "ethers"
import { lower, type Hex } from "../domain/hex.ts"
import { KIND_NUMBER, requestIdOf, type DecryptionRequest } from "../domain/request.ts"
import { ResultRejected } from "./client-errors.ts"
import { asking, gatewayInterface, type Deployment } from "./deployment.ts"

export interface RaisedRequest {
  readonly requestId: Hex
  readonly facts: DecryptionRequest
  readonly blockNumber: number
}

/** The request that this transaction raised. Undefined when it raised none. */
export const requestIn = (deployment: Deployment, receipt: TransactionReceipt): RaisedRequest | undefined => {
  const raised = receipt.logs.flatMap((log) =>
    lower(log.address) === deployment.addresses.gateway ? (raisedBy(deployment, log) ?? []) : []
  )
  return raised[0]
}

/** By its id. Rejects with `ResultRejected` when the chain has no such request, or `ChainUnreachable`. */
export const findRequest = async (deployment: Deployment, requestId: Hex, fromBlock: number): Promise<RaisedRequest> => {
  const topic = gatewayInterface.getEvent("DecryptionRequested")!.topicHash
  const filter = { address: deployment.addresses.gateway, topics: [topic, requestId], fromBlock, toBlock: "latest" }
  const logs = await asking("find the request", () => deployment.provider.getLogs(filter))
  const found = logs.map((log) => raisedBy(deployment, log)).find((request) => request?.requestId === requestId)
  if (found === undefined) throw new ResultRejected({ requestId, reason: "the request is not on this chain" })
  return found
}

/** Undefined for every log that is not, byte for byte, the event of the request it names. */
const raisedBy = (deployment: Deployment, log: Log): RaisedRequest | undefined => {
  const parsed = parse(log)
  if (parsed?.name !== "DecryptionRequested") return undefined
  const facts = factsOf(deployment, parsed)
  const requestId = requestIdOf(facts)
  return requestId === lower(String(parsed.args.requestId)) ? { requestId, facts, blockNumber: log.blockNumber } : undefined
}

const parse = (log: Log): LogDescription | undefined => {
  try {
    const parsed = gatewayInterface.parseLog(log)
    parsed?.args.toArray(true) // a part that cannot be decoded throws here, and not where it is used
    return parsed ?? undefined
  } catch {
    return undefined
  }
}

const factsOf = ({ chainId, addresses }: Deployment, { args }: LogDescription): DecryptionRequest => ({
  chainId,
  gateway: addresses.gateway,
  kind: Number(args.kind) === KIND_NUMBER.public ? "public" : "user",
  requester: lower(String(args.requester)),
  account: lower(String(args.account)),
  epoch: Number(args.epoch),
  deadline: Number(args.deadline),
  callbackGas: Number(args.callbackGas),
  salt: lower(String(args.salt)),
  handles: [...(args.handles as Iterable<string>)].map(lower),
  transportKey: lower(String(args.transportKey))
})
