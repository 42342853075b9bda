/** Finds the transaction in which a request was fulfilled, by the event that names it. */
import { Effect } from "effect"
import { lower, type Hex } from "../../domain/hex.ts"
import type { Contracts } from "./addresses.ts"
import { gatewayInterface } from "./inspection.ts"
import { quantity, type Rpc } from "./rpc.ts"

const FULFILLED = gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash as Hex

interface RawLog {
  readonly transactionHash: string
  readonly blockNumber: string
  readonly blockHash: string
}

export const findFulfilment = Effect.fnUntraced(function* (rpc: Rpc, contracts: Contracts, id: Hex) {
  const filter = {
    address: contracts.decryptionGateway,
    topics: [FULFILLED, id],
    fromBlock: quantity(contracts.startBlock),
    toBlock: "latest"
  }
  const [log] = (yield* rpc.send("eth_getLogs", [filter])) as ReadonlyArray<RawLog>
  if (log === undefined) return undefined
  return {
    txHash: lower(log.transactionHash),
    block: { blockNumber: Number(log.blockNumber), blockHash: lower(log.blockHash) }
  }
})
