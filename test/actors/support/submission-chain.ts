/** A chain as a lane sees it, in memory: one account's nonces, a mempool that takes replacements, blocks, reorganisations and
 * finality. Answers can be made wrong or lost, as an endpoint's are. */
import { createHash } from "node:crypto"
import { Effect, Layer } from "effect"
import { type Hex, toHex } from "../../../src/domain/hex.ts"
import type { BlockRef } from "../../../src/domain/outcome.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import { type AttestedBatch, partNameOf } from "../../../src/domain/response.ts"
import { ChainUnavailable } from "../../../src/journey/1-detected/request-log.port.ts"
import {
  type Broadcast,
  type Fees,
  LaneOutOfFunds,
  type Mined,
  ResultContract,
  SubmissionRejected
} from "../../../src/journey/6-submitted/result-contract.port.ts"
import { partsOf } from "../../../src/threshold/part-of-batch.ts"
import { random32, randomAddress } from "../../support/ledger-world.ts"

interface Transaction {
  readonly nonce: number
  readonly root: Hex
  readonly fee: bigint
  readonly hash: Hex
}

interface Block {
  readonly ref: BlockRef
  readonly transactions: ReadonlyArray<Transaction & { readonly isSuccess: boolean }>
}

/** What an endpoint does with a broadcast: the truth; take it and lose the answer; say so and forget it; or fail before
 * anything happened. */
export type Fault = "truth" | "answer lost" | "forgotten" | "unreachable" | "out of funds"

const FOREIGN: Hex = `0x${"f0".repeat(32)}`
/** Stands for a root in transactions that carry none. */
export const CANCELLED: Hex = `0x${"c0".repeat(32)}`
/** What every mined transaction costs. */
export const COST = 7_000n

/** A part goes by its name. */
const carriedBy = ({ attested, responses, proof }: AttestedBatch): Hex =>
  proof === undefined ? attested.root : partNameOf(attested.root, responses[0]!.requestId)
const encode = (transaction: Omit<Transaction, "hash">): Hex =>
  toHex(Buffer.from(JSON.stringify([transaction.nonce, transaction.root, String(transaction.fee)])))
const hashOf = (rawTx: Hex): Hex => toHex(createHash("sha256").update(rawTx).digest())
const decode = (rawTx: Hex): Transaction => {
  const [nonce, root, fee] = JSON.parse(Buffer.from(rawTx.slice(2), "hex").toString()) as [number, Hex, string]
  return { nonce, root, fee: BigInt(fee), hash: hashOf(rawTx) }
}

export class SubmissionChain {
  readonly chainId: bigint
  readonly address = randomAddress()
  /** Every broadcast that was attempted, in order. */
  readonly broadcasts: Array<Transaction & { readonly rawTx: Hex }> = []
  market: Fees = { maxFeePerGas: 1_000n, maxPriorityFeePerGas: 100n }
  /** Consumed one by one by broadcasts; afterwards all are the truth. */
  faults: Array<Fault> = []
  isUnreachable = false
  /** Of the newest block, in Unix seconds. */
  timestamp = 0
  isOutOfFunds = false
  balance = 10n ** 18n
  /** Nonces may be broadcast in any order: somebody lied about them. */
  isOrderFree = false
  /** What an endpoint says that lies about the account's nonce. */
  liedNonce: number | undefined = undefined
  /** Roots, or names of parts, that revert when they are mined, and those that an estimate already rejects. */
  readonly reverting = new Set<Hex>()
  readonly rejected = new Set<Hex>()
  rejection = "InvalidAttestation"
  /** Roots about whose gas no endpoint gives an answer. */
  readonly unanswerable = new Set<Hex>()
  /** Requests whose results make every estimate fail that has them. */
  readonly unestimable = new Set<RequestId>()
  /** Requests whose results make every transaction revert that carries them. */
  readonly poisoned = new Set<RequestId>()
  /** What an endpoint says that a transaction has cost. */
  liedCost: bigint | undefined = undefined
  /** Questions about the finality of a block. */
  finalityAsked = 0
  /** Roots that need more gas than others. */
  readonly gasOf = new Map<Hex, bigint>()
  /** Called before each broadcast is looked at. */
  onBroadcast: (rawTx: Hex, nonce: number) => void = () => undefined
  private readonly blocks: Array<Block> = []
  private readonly pool = new Map<number, Transaction>()
  private readonly requestsOf = new Map<Hex, ReadonlyArray<RequestId>>()
  private readonly elsewhere = new Map<RequestId, Mined>()
  private finalHeight = -1

  constructor(chainId: bigint) {
    this.chainId = chainId
  }

  knows(batch: AttestedBatch): void {
    this.requestsOf.set(carriedBy(batch), batch.responses.map(({ requestId }) => requestId))
    for (const { name, requestId } of partsOf(batch)) this.requestsOf.set(name, [requestId])
  }

  private reverts(root: Hex): boolean {
    return this.reverting.has(root) || (this.requestsOf.get(root) ?? []).some((id) => this.poisoned.has(id))
  }

  get nextNonce(): number {
    return this.mined().length
  }

  /** Roots that were fulfilled, in the order of their blocks. */
  get fulfilled(): ReadonlyArray<Hex> {
    return this.mined().filter(({ isSuccess, root }) => isSuccess && root !== FOREIGN && root !== CANCELLED).map(({ root }) => root)
  }

  get rootsByNonce(): ReadonlyArray<Hex> {
    return this.mined().map(({ root }) => root)
  }

  get pendingNonce(): number {
    let nonce = this.nextNonce
    while (this.pool.has(nonce)) nonce += 1
    return nonce
  }

  inPool(nonce: number): Hex | undefined {
    return this.pool.get(nonce)?.hash
  }

  /** One block with everything of the pool that is executable. */
  mine(): void {
    const transactions: Array<Transaction & { isSuccess: boolean }> = []
    for (let nonce = this.nextNonce; ; nonce++) {
      const next = this.pool.get(nonce)
      if (next === undefined) break
      this.pool.delete(nonce)
      transactions.push({ ...next, isSuccess: !this.reverts(next.root) })
    }
    this.push(transactions)
  }

  /** Puts these bytes into a block, though a replacement stands in the pool. */
  mineExactly(rawTx: Hex): void {
    const transaction = decode(rawTx)
    this.pool.delete(transaction.nonce)
    this.push([{ ...transaction, isSuccess: true }])
  }

  /** Somebody else with the same key uses the next nonce. */
  mineForeign(): void {
    const nonce = this.nextNonce
    this.pool.delete(nonce)
    this.push([{ nonce, root: FOREIGN, fee: 1n, hash: random32(), isSuccess: true }])
  }

  /** The newest block leaves the chain; its transactions go back to the pool, or are forgotten. Final and foreign ones stay. */
  reorganise(isForgetful = false): void {
    const isForeign = this.blocks.at(-1)?.transactions.some(({ root }) => root === FOREIGN) ?? true
    if (isForeign || this.blocks.length - 1 <= this.finalHeight) return
    const gone = this.blocks.pop()
    for (const transaction of gone?.transactions ?? []) {
      if (!isForgetful) this.pool.set(transaction.nonce, transaction)
    }
  }

  /** Somebody else's transaction stands in the pool at the next nonce. */
  occupy(fee: bigint): void {
    this.pool.set(this.nextNonce, { nonce: this.nextNonce, root: FOREIGN, fee, hash: random32() })
  }

  forgetPool(): void {
    this.pool.clear()
  }

  finalise(): void {
    this.finalHeight = this.blocks.length - 1
  }

  /** Another gateway was faster, in a block of its own. */
  fulfilledByOthers(id: RequestId): void {
    this.push([])
    const block = this.blocks.at(-1)!.ref
    this.elsewhere.set(id, { txHash: random32(), block, isSuccess: true })
  }

  whereFulfilled(id: RequestId): Mined | undefined {
    const ours = this.mined().find(({ root, isSuccess }) => isSuccess && this.requestsOf.get(root)?.includes(id))
    return this.elsewhere.get(id) ?? (ours === undefined ? undefined : this.find([ours.hash]))
  }

  private mined(): ReadonlyArray<Transaction & { readonly isSuccess: boolean }> {
    return this.minedUpTo(this.blocks.length - 1)
  }

  private minedUpTo(height: number): ReadonlyArray<Transaction & { readonly isSuccess: boolean }> {
    return this.blocks.slice(0, height + 1).flatMap(({ transactions }) => transactions)
  }

  private push(transactions: Block["transactions"]): void {
    this.blocks.push({ ref: { blockNumber: this.blocks.length, blockHash: random32() }, transactions })
  }

  private take(rawTx: Hex): Broadcast {
    const transaction = decode(rawTx)
    if (transaction.nonce < this.nextNonce) return "nonce-used"
    const standing = this.pool.get(transaction.nonce)
    if (standing === undefined || standing.hash === transaction.hash) {
      this.pool.set(transaction.nonce, transaction)
      return "accepted"
    }
    if (transaction.fee * 10n < standing.fee * 11n) return "underpriced"
    this.pool.set(transaction.nonce, transaction)
    return "accepted"
  }

  private find(hashes: ReadonlyArray<Hex>): Mined | undefined {
    for (const { ref, transactions } of this.blocks) {
      const found = transactions.find(({ hash }) => hashes.includes(hash))
      if (found !== undefined) {
        const fulfilled = this.fulfilledBy(found)
        return { txHash: found.hash, block: ref, isSuccess: found.isSuccess, cost: this.liedCost ?? COST, fulfilled }
      }
    }
    return undefined
  }

  /** Its requests, without those that an earlier transaction has fulfilled: the contract skips them. */
  private fulfilledBy({ hash, root, isSuccess }: Transaction & { readonly isSuccess: boolean }): ReadonlyArray<RequestId> {
    const all = this.mined()
    const earlier = all.slice(0, all.findIndex((transaction) => transaction.hash === hash)).filter((transaction) => transaction.isSuccess)
    const done = new Set([...this.elsewhere.keys(), ...earlier.flatMap((transaction) => this.requestsOf.get(transaction.root) ?? [])])
    return isSuccess ? (this.requestsOf.get(root) ?? []).filter((id) => !done.has(id)) : []
  }

  private isFulfilled(id: RequestId): boolean {
    return this.elsewhere.has(id) || this.fulfilled.some((root) => this.requestsOf.get(root)?.includes(id))
  }

  get layer(): Layer.Layer<ResultContract> {
    const unreachable = new ChainUnavailable({ doing: "ask the chain", cause: "cut off" })
    const asked = <A, E>(answer: () => Effect.Effect<A, E>): Effect.Effect<A, E | ChainUnavailable> =>
      Effect.suspend((): Effect.Effect<A, E | ChainUnavailable> => (this.isUnreachable ? Effect.fail(unreachable) : answer()))
    const ask = <A>(answer: () => A): Effect.Effect<A, ChainUnavailable> => asked(() => Effect.sync(answer))
    const head = () => ({ number: this.blocks.length, hash: random32(), parentHash: random32(), timestamp: this.timestamp })
    return Layer.succeed(ResultContract, {
      chainId: this.chainId,
      addresses: [this.address],
      together: (questions) => questions,
      latest: ask(head),
      nonceOf: () => ask(() => this.liedNonce ?? this.nextNonce),
      pendingNonceOf: () => ask(() => this.pendingNonce),
      finalNonceOf: () => ask(() => this.minedUpTo(this.finalHeight).length),
      balanceOf: () => ask(() => (this.isOutOfFunds ? 0n : this.balance)),
      fees: ask(() => this.market),
      estimate: (_address, batch) =>
        asked((): Effect.Effect<bigint, SubmissionRejected | ChainUnavailable> => {
          const root = carriedBy(batch)
          if (this.unanswerable.has(root)) return Effect.fail(unreachable)
          const isRejected = this.rejected.has(root) || batch.responses.some(({ requestId }) => this.unestimable.has(requestId))
          return isRejected ? Effect.fail(new SubmissionRejected({ reason: this.rejection })) : Effect.succeed(this.gasOf.get(root) ?? 200_000n)
        }),
      sign: (_address, batch, { nonce, fees }) =>
        Effect.sync(() => {
          const rawTx = encode({ nonce, root: carriedBy(batch), fee: fees.maxFeePerGas })
          return { rawTx, txHash: hashOf(rawTx) }
        }),
      signCancellation: (_address, { nonce, fees }) =>
        Effect.sync(() => {
          const rawTx = encode({ nonce, root: CANCELLED, fee: fees.maxFeePerGas })
          return { rawTx, txHash: hashOf(rawTx) }
        }),
      broadcast: (rawTx) =>
        asked((): Effect.Effect<Broadcast, ChainUnavailable | LaneOutOfFunds> => {
          this.onBroadcast(rawTx, decode(rawTx).nonce)
          this.broadcasts.push({ rawTx, ...decode(rawTx) })
          if (this.isOutOfFunds || this.faults[0] === "out of funds") {
            this.faults.shift()
            return Effect.fail(new LaneOutOfFunds({ address: this.address }))
          }
          const fault = this.faults.shift() ?? "truth"
          if (fault === "unreachable") return Effect.fail(unreachable)
          if (fault === "forgotten") return Effect.succeed("accepted")
          const answer = this.take(rawTx)
          return fault === "answer lost" ? Effect.fail(unreachable) : Effect.succeed(answer)
        }),
      mined: (hashes) => ask(() => this.find(hashes)),
      statuses: (ids) => ask(() => ids.map((id) => (this.isFulfilled(id) ? "fulfilled" : "requested"))),
      finality: (block) =>
        ask(() => {
          this.finalityAsked += 1
          if (this.blocks[block.blockNumber]?.ref.blockHash !== block.blockHash) return "gone"
          return block.blockNumber <= this.finalHeight ? "final" : "pending"
        }),
      fulfilment: (id) => ask(() => this.whereFulfilled(id))
    })
  }
}
