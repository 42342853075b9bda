/** Finds the transaction in which a request was fulfilled, by the event that names it. */
import { Effect, Schema } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Contracts } from "./addresses.ts"
import { Log } from "./answers.ts"
import { gatewayInterface } from "./inspection.ts"
import { quantity, type Rpc } from "./rpc.ts"

const FULFILLED = gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash as Hex

export const findFulfilment = Effect.fnUntraced(function* (rpc: Rpc, contracts: Contracts, id: Hex) {
  const filter = {
    address: contracts.decryptionGateway,
    topics: [FULFILLED, id],
    fromBlock: quantity(contracts.startBlock),
    toBlock: "latest"
  }
  const [log] = yield* rpc.ask("eth_getLogs", [filter], Schema.Array(Log))
  if (log === undefined) return undefined
  if (log.address !== contracts.decryptionGateway || log.topics[0] !== FULFILLED || log.topics[1] !== id) {
    return yield* new ChainUnavailable({ doing: "eth_getLogs", cause: "a log that was not asked for" })
  }
  return { txHash: log.transactionHash, block: { blockNumber: log.blockNumber, blockHash: log.blockHash } }
})
