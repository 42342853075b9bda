/** What the chain says about requests and results in a range of blocks: for auditors, who want all of it and not only what is new. */
import { Effect, Schema } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import type { Contracts } from "./addresses.ts"
import { Log } from "./answers.ts"
import { gatewayInterface } from "./inspection.ts"
import { quantity, type Rpc } from "./rpc.ts"

const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash as Hex
const FULFILLED = gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash as Hex
/** Endpoints refuse long ranges or many logs; this many are accepted everywhere. */
const BLOCKS_PER_CALL_MAX = 1_000

export interface Requested {
  readonly requestId: RequestId
  readonly blockNumber: number
}

export interface Fulfilled extends Requested {
  readonly txHash: Hex
}

/** Both ends included. */
export const readChainAudit = Effect.fnUntraced(function* (rpc: Rpc, { decryptionGateway }: Contracts, from: number, to: number) {
  const starts = Array.from({ length: Math.max(0, Math.ceil((to - from + 1) / BLOCKS_PER_CALL_MAX)) }, (_, page) => from + page * BLOCKS_PER_CALL_MAX)
  const logs = yield* Effect.forEach(starts, (start) => {
    const filter = {
      address: decryptionGateway,
      topics: [[REQUESTED, FULFILLED]],
      fromBlock: quantity(start),
      toBlock: quantity(Math.min(to, start + BLOCKS_PER_CALL_MAX - 1))
    }
    return rpc.ask("eth_getLogs", [filter], Schema.Array(Log))
  })
  const ours = logs.flat().filter(({ address }) => address === decryptionGateway)
  return {
    requested: ours.filter(({ topics }) => topics[0] === REQUESTED).map(requestedIn),
    fulfilled: ours.filter(({ topics }) => topics[0] === FULFILLED).map((log) => ({ ...requestedIn(log), txHash: log.transactionHash }))
  } satisfies { readonly requested: ReadonlyArray<Requested>; readonly fulfilled: ReadonlyArray<Fulfilled> }
})

/** The request's id is the first indexed word of both events. */
const requestedIn = ({ topics, blockNumber }: Log): Requested => ({ requestId: topics[1] ?? "0x", blockNumber })
