/** Finds the transaction in which a request was fulfilled, by the event that names it. The contract's state is asked first, so that nothing is
 * searched for a request that is still open; then the newest blocks first, in ranges that endpoints accept. */
import { Effect, Schema } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Contracts } from "./addresses.ts"
import { Log } from "./answers.ts"
import { gatewayInterface, statusFrom } from "./inspection.ts"
import { quantity, requireBlock, type Rpc } from "./rpc.ts"

const FULFILLED = gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash as Hex
/** Providers allow 2,000 blocks or more in one question; a request lives at most 7 days, so the search is short. */
const RANGE_BLOCKS = 2_000

/** All of it from one endpoint: of two, one may call it fulfilled and the other not have the block yet. */
export const findFulfilment = (rpc: Rpc, contracts: Contracts, id: Hex) => rpc.together(search(rpc, contracts, id))

/** The requests that a transaction has fulfilled, by its own logs. */
export const fulfilledIn = (contracts: Contracts, logs: ReadonlyArray<Log>): ReadonlyArray<Hex> =>
  logs.flatMap(({ address, topics }) =>
    address === contracts.decryptionGateway && topics[0] === FULFILLED && topics[1] !== undefined ? [topics[1]] : []
  )

const search = Effect.fnUntraced(function* (rpc: Rpc, contracts: Contracts, id: Hex) {
  if ((yield* statusOf(rpc, contracts, id)) !== "fulfilled") return undefined
  let to = (yield* requireBlock(rpc, "latest")).number
  while (to >= contracts.startBlock) {
    const from = Math.max(contracts.startBlock, to - RANGE_BLOCKS + 1)
    const log = yield* logWithin(rpc, contracts, id, from, to)
    if (log !== undefined) return { txHash: log.transactionHash, block: { blockNumber: log.blockNumber, blockHash: log.blockHash } }
    to = from - 1
  }
  return yield* new ChainUnavailable({ doing: "eth_getLogs", cause: "the contract calls it fulfilled and no log does" })
})

/** What the contract says of a request at the latest block. */
export const statusOf = (rpc: Rpc, contracts: Contracts, id: Hex) =>
  rpc.call(contracts.decryptionGateway, gatewayInterface.encodeFunctionData("statusOf", [id]), "latest").pipe(
    Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "statusOf", cause }))),
    Effect.flatMap((answer) =>
      Effect.try({
        try: () => statusFrom(gatewayInterface.decodeFunctionResult("statusOf", answer)[0]),
        catch: (cause) => new ChainUnavailable({ doing: "statusOf: decode", cause })
      })
    )
  )

const logWithin = Effect.fnUntraced(function* (rpc: Rpc, contracts: Contracts, id: Hex, from: number, to: number) {
  const filter = { address: contracts.decryptionGateway, topics: [FULFILLED, id], fromBlock: quantity(from), toBlock: quantity(to) }
  const [log] = yield* rpc.ask("eth_getLogs", [filter], Schema.Array(Log))
  if (log === undefined) return undefined
  if (log.address !== contracts.decryptionGateway || log.topics[0] !== FULFILLED || log.topics[1] !== id) {
    return yield* new ChainUnavailable({ doing: "eth_getLogs", cause: "a log that was not asked for" })
  }
  return log
})
