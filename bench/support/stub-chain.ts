/**
 * A chain of plain objects: blocks that the bench pours, and a contract that fulfils at once. Stands in for an EVM where the
 * engine alone is measured; it answers as soon as it is asked and must cost as little as possible.
 */
import { createHash, randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import { fromHex, lower, toHex, type Hex } from "../../src/domain/hex.ts"
import { ZERO_ADDRESS, type DecryptionRequest, type RequestId } from "../../src/domain/request.ts"
import { RequestLog, type BlockHead, type ReadBlock } from "../../src/journey/1-detected/request-log.port.ts"
import { AccessList } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { ResultContract, type Mined } from "../../src/journey/6-submitted/result-contract.port.ts"

export const CHAIN_ID = 31_337n
const GATEWAY = toHex(randomBytes(20))
const LIFETIME_SECONDS = 3_600

interface Sent {
  readonly ids: ReadonlyArray<RequestId>
  readonly nonce: number
  mined: Mined | undefined
}

export class StubChain {
  /** Sending accounts, lower case. */
  readonly lanes: ReadonlyArray<Hex>
  private readonly blocks: Array<ReadBlock> = []
  private readonly fulfilled = new Map<RequestId, Mined>()
  private readonly transactions = new Map<Hex, Sent>()
  private readonly nonces = new Map<Hex, number>()

  constructor(lanes: ReadonlyArray<string>) {
    this.lanes = lanes.map(lower)
    this.pour(0)
  }

  /** One block with so many fresh public requests. */
  pour(count: number): void {
    const number = this.blocks.length
    const hash = toHex(createHash("sha256").update(`block ${number}`).digest())
    const timestamp = Math.floor(Date.now() / 1_000)
    const requests = Array.from({ length: count }, (_, logIndex) => ({
      id: toHex(randomBytes(32)),
      facts: factsOf(timestamp),
      anchor: { blockNumber: number, blockHash: hash, logIndex }
    }))
    this.blocks.push({ number, hash, parentHash: this.blocks.at(-1)?.hash ?? `0x${"00".repeat(32)}`, timestamp, requests })
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
        finalizedNumber: Effect.sync(() => this.head.number),
        readBlock: (number) => Effect.sync(() => this.blocks[number]),
        readElsewhere: (number) => Effect.sync(() => this.blocks[number]),
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

const factsOf = (nowSeconds: number): DecryptionRequest => ({
  chainId: CHAIN_ID,
  gateway: GATEWAY,
  kind: "public",
  requester: GATEWAY,
  account: ZERO_ADDRESS,
  epoch: 1,
  deadline: nowSeconds + LIFETIME_SECONDS,
  callbackGas: 0,
  salt: toHex(randomBytes(32)),
  handles: [toHex(randomBytes(32))],
  transportKey: "0x"
})
