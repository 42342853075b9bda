/** Decryption requests as a block's logs tell them, checked against its filter and its receipts (reliability.md P10). */
import { isDeepStrictEqual } from "node:util"
import { Effect, Layer, Schema } from "effect"
import { dataSlice } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { requestIdOf, type DecryptionRequest, type RequestKind } from "../../domain/request.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../../journey/1-detected/request-log.port.ts"
import type { Contracts } from "./addresses.ts"
import { Log, Receipt } from "./answers.ts"
import { mayContain } from "./bloom.ts"
import { lowerOfTwo } from "./finality.ts"
import { gatewayInterface } from "./inspection.ts"
import { requireBlock, sameBlock, type BlockHeader, type Rpc, type Settle } from "./rpc.ts"

const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash as Hex
const KINDS: Readonly<Record<string, RequestKind>> = { "1": "public", "2": "user" }

export const requestLogLayer = (rpc: Rpc, contracts: Contracts, nextHead: Effect.Effect<void> = Effect.never) =>
  Layer.succeed(RequestLog, {
    chainId: rpc.chainId,
    nextHead,
    latest: requireBlock(rpc, "latest"),
    finalized: lowerOfTwo(rpc, "finalized", requireBlock(rpc, "finalized")),
    finalAt: (number) => {
      const word = finalForOne(rpc, number)
      return Effect.all([rpc.together(word), rpc.elsewhere(word)], { concurrency: "unbounded" })
    },
    headAt: (number) => rpc.agreed({ about: "block", ask: rpc.block({ number }), settle: sameBlock }),
    readBlock: (number) => rpc.agreed({ about: "logs", ask: read(rpc, contracts, number), settle: sameRead }),
    readElsewhere: (number) => rpc.elsewhere(read(rpc, contracts, number))
  })

/** What is final, and what stands where: both by one endpoint's word. */
const finalForOne = (rpc: Rpc, number: number) =>
  Effect.map(
    Effect.all([requireBlock(rpc, "finalized"), rpc.block({ number })], { concurrency: "unbounded" }),
    ([final, block]) => (final.number >= number ? block : undefined)
  )

const read = (rpc: Rpc, contracts: Contracts, number: number) =>
  Effect.gen(function* () {
    const header = yield* rpc.block({ number })
    if (header === undefined) return undefined
    const logs = yield* logsIn(rpc, contracts.decryptionGateway, header)
    const requests = yield* Effect.forEach(logs, (log) => requestIn(log, header, contracts))
    return { ...header, requests } satisfies ReadBlock as ReadBlock
  })

/** The same block with the same requests. One that does not have the block yet contradicts nobody: the chain ends sooner, as far as both know. */
const sameRead: Settle<ReadBlock | undefined> = (one, other) => {
  const isSame = one === undefined || other === undefined || isDeepStrictEqual(one.requests, other.requests)
  return isSame ? sameBlock(one, other) : undefined
}

/**
 * When the bloom says "perhaps", the logs have to agree with the block's receipts. Endpoints keep the two apart, and their index
 * of logs is the one that lags behind the blocks, or answers with some of the logs and status 200: either would skip requests for
 * good.
 */
const logsIn = Effect.fnUntraced(function* (rpc: Rpc, gateway: Hex, header: BlockHeader) {
  if (!mayContain(header.logsBloom, gateway) || !mayContain(header.logsBloom, REQUESTED)) return []
  const filter = { blockHash: header.hash, address: gateway, topics: [REQUESTED] }
  const [logs, receipts] = yield* Effect.all(
    [
      rpc.ask("eth_getLogs", [filter], Schema.Array(Log)),
      rpc.ask("eth_getBlockReceipts", [header.hash], Schema.NullOr(Schema.Array(Receipt)))
    ],
    { concurrency: "unbounded" }
  )
  if (receipts === null) return yield* contradiction(header, "no receipts for a block that it has")
  const isOurs = ({ address, topics }: Log) => address === gateway && topics[0] === REQUESTED
  const recorded = receipts.flatMap((receipt) => receipt.logs).filter(isOurs)
  if ([...logs, ...recorded].some(({ blockHash }) => blockHash !== header.hash)) {
    return yield* contradiction(header, "a log of another block")
  }
  const [said, known] = [inOrder(logs), inOrder(recorded)]
  const isSame = said.length === known.length && said.every((log, at) => isSameLog(log, known[at]!))
  return isSame ? known : yield* contradiction(header, "eth_getLogs and the receipts disagree")
})

const inOrder = (logs: ReadonlyArray<Log>) => logs.toSorted((a, b) => a.logIndex - b.logIndex)

const isSameLog = (a: Log, b: Log): boolean =>
  a.logIndex === b.logIndex && a.address === b.address && a.data === b.data && a.topics.join() === b.topics.join()

const requestIn = Effect.fnUntraced(function* (log: Log, header: BlockHeader, contracts: Contracts) {
  const parsed = yield* Effect.try({
    try: () => factsOf(log, contracts),
    catch: (cause) => new ChainUnavailable({ doing: "decode DecryptionRequested", cause })
  })
  const id = log.topics[1]
  if (id === undefined || requestIdOf(parsed) !== id) {
    return yield* contradiction(header, "a request whose id does not follow from its contents")
  }
  const anchor = { blockNumber: header.number, blockHash: header.hash, logIndex: log.logIndex }
  return { id, facts: parsed, anchor }
})

const factsOf = (log: Log, contracts: Contracts): DecryptionRequest => {
  const event = gatewayInterface.decodeEventLog("DecryptionRequested", log.data, [...log.topics])
  const kind = KINDS[String(event["kind"])]
  if (kind === undefined) throw new ChainUnavailable({ doing: "decode DecryptionRequested", cause: "unknown kind" })
  return {
    chainId: contracts.chainId,
    gateway: contracts.decryptionGateway,
    kind,
    requester: lower(dataSlice(log.topics[2] ?? "0x", 12)),
    account: lower(String(event["account"])),
    epoch: Number(event["epoch"]),
    deadline: Number(event["deadline"]),
    callbackGas: Number(event["callbackGas"]),
    salt: lower(String(event["salt"])),
    handles: [...(event["handles"] as Iterable<string>)].map(lower),
    transportKey: lower(String(event["transportKey"]))
  }
}

const contradiction = (header: BlockHeader, what: string) =>
  Effect.fail(new ChainUnavailable({ doing: `read block ${header.number}`, cause: `the endpoint contradicts itself: ${what}` }))
