/** Decryption requests as the chain's logs tell them: by block hash, checked against the block's bloom filter (reliability.md P10). */
import { Effect, Layer } from "effect"
import { dataSlice } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { requestIdOf, type DecryptionRequest, type RequestKind } from "../../domain/request.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../../journey/1-detected/request-log.port.ts"
import type { Contracts } from "./addresses.ts"
import { mayContain } from "./bloom.ts"
import { gatewayInterface } from "./inspection.ts"
import { requireBlock, type BlockHeader, type Rpc } from "./rpc.ts"

const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash as Hex
const KINDS: Readonly<Record<string, RequestKind>> = { "1": "public", "2": "user" }

interface RawLog {
  readonly address: string
  readonly blockHash: string
  readonly logIndex: string
  readonly topics: ReadonlyArray<string>
  readonly data: string
}

export const requestLogLayer = (rpc: Rpc, contracts: Contracts) =>
  Layer.succeed(RequestLog, {
    chainId: rpc.chainId,
    latest: requireBlock(rpc, "latest"),
    finalizedNumber: Effect.map(requireBlock(rpc, "finalized"), ({ number }) => number),
    headAt: (number) => rpc.block({ number }),
    readBlock: (number) =>
      Effect.gen(function* () {
        const header = yield* rpc.block({ number })
        if (header === undefined) return undefined
        const logs = yield* logsIn(rpc, contracts.decryptionGateway, header)
        const requests = yield* Effect.forEach(logs, (log) => requestIn(log, header, contracts))
        return { ...header, requests } satisfies ReadBlock
      })
  })

/** When the bloom says "perhaps" and the answer is empty, the receipts decide: a node that has the block but not its logs would skip requests. */
const logsIn = Effect.fnUntraced(function* (rpc: Rpc, gateway: Hex, header: BlockHeader) {
  if (!mayContain(header.logsBloom, gateway) || !mayContain(header.logsBloom, REQUESTED)) return []
  const filter = { blockHash: header.hash, address: gateway, topics: [REQUESTED] }
  const logs = (yield* rpc.send("eth_getLogs", [filter])) as ReadonlyArray<RawLog>
  if (logs.some((log) => lower(log.blockHash) !== header.hash)) return yield* contradiction(header, "a log of another block")
  if (logs.length > 0) return logs
  const receipts = (yield* rpc.send("eth_getBlockReceipts", [header.hash])) as ReadonlyArray<{ readonly logs: ReadonlyArray<RawLog> }> | null
  if (receipts === null) return yield* contradiction(header, "no receipts for a block that it has")
  const missed = receipts.flatMap(({ logs }) => logs).some((log) => lower(log.address) === gateway && log.topics[0] === REQUESTED)
  return missed ? yield* contradiction(header, "eth_getLogs left out a log that the receipts have") : logs
})

const requestIn = Effect.fnUntraced(function* (log: RawLog, header: BlockHeader, contracts: Contracts) {
  const parsed = yield* Effect.try({
    try: () => factsOf(log, contracts),
    catch: (cause) => new ChainUnavailable({ doing: "decode DecryptionRequested", cause })
  })
  const id = lower(log.topics[1] ?? "0x")
  if (requestIdOf(parsed) !== id) return yield* contradiction(header, "a request whose id does not follow from its contents")
  const anchor = { blockNumber: header.number, blockHash: header.hash, logIndex: Number(log.logIndex) }
  return { id, facts: parsed, anchor }
})

const factsOf = (log: RawLog, contracts: Contracts): DecryptionRequest => {
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
