/**
 * A chain of plain objects: blocks that the bench pours, and a contract that fulfils at once. Stands in for an EVM where the
 * engine alone is measured; it answers as soon as it is asked and must cost as little as possible.
 *
 * What a block holds follows from the seed and its number alone, and is worked out when somebody reads it: processes that are
 * told of the same blocks see the same chain, and only the one that listens pays for it.
 */
import { createHash, randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import { fromHex, lower, toHex, type Hex } from "../../src/domain/hex.ts"
import { ZERO_ADDRESS, type DecryptionRequest, type RequestId } from "../../src/domain/request.ts"
import { RequestLog, type BlockHead, type ReadBlock } from "../../src/journey/1-detected/request-log.port.ts"
import { AccessList } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { ResultContract, type Mined } from "../../src/journey/6-submitted/result-contract.port.ts"

export const CHAIN_ID = 31_337n
const GATEWAY = `0x${"6a".repeat(20)}` as const
const LIFETIME_SECONDS = 3_600

/** One block, as it is told to every process. */
export interface Poured {
  readonly count: number
  /** Unix seconds. */
  readonly timestamp: number
}

interface Sent {
  readonly ids: ReadonlyArray<RequestId>
  readonly nonce: number
  mined: Mined | undefined
}

export class StubChain {
  /** Sending accounts, lower case. */
  readonly lanes: ReadonlyArray<Hex>
  private readonly seed: string
  private readonly blocks: Array<BlockHead & Poured> = []
  private readonly fulfilled = new Map<RequestId, Mined>()
  private readonly transactions = new Map<Hex, Sent>()
  private readonly nonces = new Map<Hex, number>()

  constructor(lanes: ReadonlyArray<string>, seed = randomBytes(16).toString("hex")) {
    this.lanes = lanes.map(lower)
    this.seed = seed
    this.pour({ count: 0, timestamp: 0 })
  }

  /** One block with so many fresh public requests. */
  pour(poured: Poured): void {
    const number = this.blocks.length
    const parentHash = this.blocks.at(-1)?.hash ?? `0x${"00".repeat(32)}`
    this.blocks.push({ number, hash: this.digest("block", number), parentHash, ...poured })
  }

  private read(number: number): ReadBlock | undefined {
    const block = this.blocks[number]
    if (block === undefined) return undefined
    const requests = Array.from({ length: block.count }, (_, logIndex) => ({
      id: this.digest("request", number, logIndex),
      facts: this.factsOf(block, logIndex),
      anchor: { blockNumber: number, blockHash: block.hash, logIndex }
    }))
    return { number, hash: block.hash, parentHash: block.parentHash, timestamp: block.timestamp, requests }
  }

  private factsOf({ number, timestamp }: BlockHead & Poured, logIndex: number): DecryptionRequest {
    return {
      chainId: CHAIN_ID,
      gateway: GATEWAY,
      kind: "public",
      requester: GATEWAY,
      account: ZERO_ADDRESS,
      epoch: 1,
      deadline: timestamp + LIFETIME_SECONDS,
      callbackGas: 0,
      salt: this.digest("salt", number, logIndex),
      handles: [this.digest("handle", number, logIndex)],
      transportKey: "0x"
    }
  }

  private digest(...words: ReadonlyArray<string | number>): Hex {
    return toHex(createHash("sha256").update([this.seed, ...words].join(" ")).digest())
  }

  private get head(): BlockHead {
    return this.blocks.at(-1)!
  }

  readonly layer = () =>
    Layer.mergeAll(
      Layer.succeed(RequestLog, {
        chainId: CHAIN_ID,
        nextHead: Effect.never,
        latest: Effect.sync(() => this.head),
        finalized: Effect.sync(() => this.head),
        finalAt: (number) => Effect.sync(() => [this.blocks[number]]),
        readBlock: (number) => Effect.sync(() => this.read(number)),
        readElsewhere: (number) => Effect.sync(() => this.read(number)),
        headAt: (number) => Effect.sync(() => this.blocks[number])
      }),
      Layer.succeed(AccessList, {
        finality: () => Effect.succeed("final"),
        permission: () => Effect.sync(() => ({ type: "allowed", block: refOf(this.head) }) as const)
      }),
      this.contract()
    )

  private contract() {
    return Layer.succeed(ResultContract, {
      chainId: CHAIN_ID,
      addresses: this.lanes,
      together: (questions) => questions,
      latest: Effect.sync(() => this.head),
      nonceOf: (address) => Effect.sync(() => this.nonces.get(address) ?? 0),
      pendingNonceOf: (address) => Effect.sync(() => this.nonces.get(address) ?? 0),
      finalNonceOf: (address) => Effect.sync(() => this.nonces.get(address) ?? 0),
      balanceOf: () => Effect.succeed(10n ** 24n),
      signCancellation: () => Effect.die("the stub mines at once: nothing gets stuck"),
      fees: Effect.succeed({ maxFeePerGas: 2n, maxPriorityFeePerGas: 1n }),
      estimate: () => Effect.succeed(500_000n),
      sign: (address, batch, { nonce }) =>
        Effect.sync(() => {
          const results = batch.responses.map(({ result }) => result)
          const rawTx = toHex(Buffer.concat([fromHex(address), randomBytes(32), ...results]))
          const txHash = toHex(createHash("sha256").update(rawTx).digest())
          this.transactions.set(txHash, { ids: batch.responses.map(({ requestId }) => requestId), nonce, mined: undefined })
          return { rawTx, txHash }
        }),
      broadcast: (rawTx) =>
        Effect.sync(() => {
          const txHash = toHex(createHash("sha256").update(rawTx).digest())
          const sent = this.transactions.get(txHash)
          if (sent === undefined || sent.mined !== undefined) return "accepted"
          sent.mined = { txHash, block: refOf(this.head), isSuccess: true }
          this.nonces.set(lower(rawTx.slice(0, 42)), sent.nonce + 1)
          for (const id of sent.ids) this.fulfilled.set(id, sent.mined)
          return "accepted"
        }),
      mined: (hashes) =>
        Effect.sync(() => hashes.map((hash) => this.transactions.get(hash)?.mined).find((mined) => mined !== undefined)),
      statuses: (ids) => Effect.sync(() => ids.map((id) => (this.fulfilled.has(id) ? "fulfilled" : "requested"))),
      finality: () => Effect.succeed("final"),
      fulfilment: (id) => Effect.sync(() => this.fulfilled.get(id))
    })
  }
}

const refOf = ({ number, hash }: BlockHead) => ({ blockNumber: number, blockHash: hash })
