/** The one true chain of a simulated world: blocks, a pool of waiting transactions, reorganisations, finality, a market for gas. */
import type { Chance } from "../chance.ts"
import type { History } from "../history.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { DecryptionRequest, RequestId } from "../../../src/domain/request.ts"
import type { Mined } from "../../../src/journey/6-submitted/result-contract.port.ts"
import { ancestorAt, sha256Hex, type LaneTx, type RequestTx, type SimBlock, type Tx } from "./sim-block.ts"
import { fulfillable, gasOf, revertOf, type ContractRules } from "./sim-contract.ts"

export interface ChainOptions {
  readonly rules: ContractRules
  readonly startSeconds: number
  /** Blocks that stand on one which the chain calls final. */
  readonly finalDepth: number
  /** Permissions that stand from the first block on. */
  readonly permissions: ReadonlyArray<string>
}

export const BASE_FEE = 1_000n
/** geth: a replacement pays a tenth more, on both caps. */
const REPLACEMENT_PERCENT = 110n

/** Of the lanes' transactions in blocks that are taken back, so many are not put into the pool again. */
const LOST_RESULTS = 0.5

export type PoolAnswer = "accepted" | "already-known" | "nonce-used" | "underpriced"

export class SimChain {
  readonly options: ChainOptions
  head: SimBlock
  baseFee = BASE_FEE
  gasPerBlock = 30_000_000n
  isStalled = false
  private finalNumber = 0
  /** Lane transactions by account and nonce. */
  private readonly pool = new Map<Hex, Map<number, LaneTx>>()
  private users: Array<Tx> = []
  private readonly history: History
  private readonly chance: Chance
  private blocksMade = 0
  /** Requests that a reorganisation has taken back for good, or whose block came after their deadline: there the contract reverts. */
  readonly lost = new Set<RequestId>()
  /** Every transaction of a lane that was ever mined, reorganised ones included. */
  readonly everMined: Array<{ readonly tx: LaneTx; readonly block: SimBlock; readonly isSuccess: boolean }> = []

  constructor(options: ChainOptions, history: History, chance: Chance) {
    this.options = options
    this.history = history
    this.chance = chance
    this.head = {
      number: 0,
      hash: sha256Hex("genesis"),
      parentHash: sha256Hex("nothing"),
      timestamp: options.startSeconds,
      parent: undefined,
      baseFee: BASE_FEE,
      txs: [],
      opened: [],
      effects: [],
      state: { requests: new Map(), nonces: new Map(), permissions: new Set(options.permissions), mined: new Map(), spent: new Map() }
    }
  }

  get finalizedNumber(): number {
    return this.finalNumber
  }

  knows(id: RequestId): boolean {
    return this.head.state.requests.has(id)
  }

  isFinal(block: SimBlock): boolean {
    return block.number <= this.finalNumber && ancestorAt(this.head, block.number) === block
  }

  onBlock: (block: SimBlock) => void = () => undefined
  /** Told of the head of every branch that is left. */
  onLeft: (branch: SimBlock) => void = () => undefined
  /** Called once, at the next block. */
  readonly headListeners = new Set<() => void>()
  /** Told of every transaction of a lane that reaches any node of the network. */
  onSent: (tx: LaneTx) => void = () => undefined

  /** Of a user: taken into the next block. */
  send(tx: Tx): void {
    this.users.push(tx)
  }

  request(id: RequestId, facts: DecryptionRequest): void {
    this.send({ type: "request", id, facts })
  }

  /** What a node of the network does with a lane's transaction. What is mined is in no pool: also its own bytes find the nonce used. */
  submit(tx: LaneTx): PoolAnswer {
    this.onSent(tx)
    if (tx.nonce < (this.head.state.nonces.get(tx.from) ?? 0)) return "nonce-used"
    const mine = this.pool.get(tx.from) ?? new Map<number, LaneTx>()
    this.pool.set(tx.from, mine)
    const standing = mine.get(tx.nonce)
    if (standing?.hash === tx.hash) return "already-known"
    if (tx.fees.maxFeePerGas < this.baseFee / 2n) return "underpriced"
    if (standing !== undefined) {
      const isDearer =
        tx.fees.maxFeePerGas * 100n >= standing.fees.maxFeePerGas * REPLACEMENT_PERCENT &&
        tx.fees.maxPriorityFeePerGas * 100n >= standing.fees.maxPriorityFeePerGas * REPLACEMENT_PERCENT
      if (!isDearer) return "underpriced"
      this.history.sometimes("nonce replaced")
    }
    mine.set(tx.nonce, tx)
    return "accepted"
  }

  /** With what waits in the pool, from `nonce` on without a gap. */
  pendingNonce(from: Hex, nonce: number): number {
    const mine = this.pool.get(from)
    let next = nonce
    while (mine?.has(next) === true) next += 1
    return next
  }

  /** The pool drops some of what waits: nobody is told. */
  forgetPool(probability: number): void {
    for (const mine of this.pool.values()) {
      for (const nonce of [...mine.keys()]) {
        if (!this.chance.happens(probability)) continue
        mine.delete(nonce)
        this.history.sometimes("transaction forgotten by the pool")
      }
    }
  }

  mine(wantedTimestamp: number): void {
    if (this.isStalled) return
    const timestamp = Math.max(wantedTimestamp, this.head.timestamp)
    const users = this.users
    this.users = []
    this.append(this.head, timestamp, [...users, ...this.executable()])
    this.history.tell("chain", `block ${this.head.number} with ${this.head.txs.length} transactions, ${this.head.effects.length} results`)
  }

  /** The newest blocks are replaced by one more than they were. What stood in them waits again, moves, or is lost. */
  reorganise(wantedDepth: number, lostShare: number, lostResults = LOST_RESULTS): number {
    const depth = Math.min(wantedDepth, this.head.number - this.finalNumber)
    if (depth <= 0 || this.isStalled) return 0
    const left = this.head
    const removed: Array<SimBlock> = []
    let base = this.head
    for (let count = 0; count < depth; count++) {
      removed.unshift(base)
      base = base.parent!
    }
    const txs = removed.flatMap((block) => block.txs)
    const effects = removed.some((block) => block.effects.length > 0)
    this.history.sometimes("reorg seen")
    if (effects) this.history.sometimes("result reorganised away")
    this.history.tell("chain", `blocks ${removed.map(({ number }) => number).join(", ")} are gone`)
    this.head = base
    for (const tx of txs) this.takeBack(tx, tx.type === "lane" ? lostResults : lostShare)
    for (let count = 1; count <= depth + 1; count++) this.mine(base.timestamp + count)
    this.onLeft(left)
    return depth
  }

  private takeBack(tx: Tx, lostShare: number): void {
    const isLost = this.chance.happens(lostShare)
    if (tx.type !== "lane") {
      if (isLost && tx.type === "request") {
        this.lost.add(tx.id)
        return this.history.tell("chain", `request ${tx.id.slice(0, 10)} is lost`)
      }
      if (tx.type === "request") this.history.sometimes("request moved to another block")
      return this.send(tx)
    }
    if (isLost) return this.history.sometimes("transaction forgotten by the pool")
    const mine = this.pool.get(tx.from) ?? new Map<number, LaneTx>()
    this.pool.set(tx.from, mine)
    if (!mine.has(tx.nonce)) mine.set(tx.nonce, tx)
  }

  /** Everything of the pool whose nonce is next and whose fee is enough. */
  private executable(): ReadonlyArray<LaneTx> {
    const out: Array<LaneTx> = []
    for (const [from, mine] of this.pool) {
      for (const nonce of [...mine.keys()]) if (nonce < (this.head.state.nonces.get(from) ?? 0)) mine.delete(nonce)
      for (let nonce = this.head.state.nonces.get(from) ?? 0; ; nonce++) {
        const tx = mine.get(nonce)
        if (tx === undefined || tx.fees.maxFeePerGas < this.baseFee) break
        out.push(tx)
        mine.delete(nonce)
      }
    }
    return out
  }

  /** Wei for each unit of gas: the block's fee and the tip, as far as the caps allow. */
  private priceFor({ fees: { maxFeePerGas, maxPriorityFeePerGas } }: LaneTx): bigint {
    const wanted = this.baseFee + maxPriorityFeePerGas
    return wanted < maxFeePerGas ? wanted : maxFeePerGas
  }

  private append(parent: SimBlock, timestamp: number, txs: ReadonlyArray<Tx>): void {
    const number = parent.number + 1
    const hash = sha256Hex(`block ${number} ${this.blocksMade++} on ${parent.hash}`)
    const requests = new Map(parent.state.requests)
    const nonces = new Map(parent.state.nonces)
    const permissions = new Set(parent.state.permissions)
    const mined = new Map(parent.state.mined)
    const spent = new Map(parent.state.spent)
    const state = { requests, nonces, permissions, mined, spent }
    const opened: Array<RequestTx> = []
    const effects: Array<SimBlock["effects"][number]> = []
    const done: Array<{ readonly tx: LaneTx; readonly isSuccess: boolean }> = []
    const included: Array<Tx> = []
    for (const tx of txs) {
      if (tx.type === "request") {
        if (requests.has(tx.id)) continue // reverts, and is of no interest
        if (timestamp >= tx.facts.deadline) {
          this.lost.add(tx.id)
          continue
        }
        if (tx.facts.gateway !== this.options.rules.gateway) continue // somebody else's contract
        requests.set(tx.id, { facts: tx.facts, fulfilled: undefined })
        opened.push(tx)
      } else if (tx.type === "permit") {
        if (tx.isAllowed) permissions.add(tx.key)
        else permissions.delete(tx.key)
      } else {
        nonces.set(tx.from, tx.nonce + 1)
        const call = tx.fulfilment
        const isEnough = tx.gasLimit >= gasOf(call)
        const isSuccess = isEnough && (call === undefined || revertOf(this.options.rules, state, timestamp, call) === undefined)
        const receipt: Mined = { txHash: tx.hash, block: { blockNumber: number, blockHash: hash }, isSuccess }
        const open = call !== undefined && isSuccess ? fulfillable(state, timestamp, call) : []
        const cost = (isEnough ? gasOf(call) : tx.gasLimit) * this.priceFor(tx)
        spent.set(tx.from, (spent.get(tx.from) ?? 0n) + cost)
        mined.set(tx.hash, { ...receipt, cost, fulfilled: open.map(({ requestId }) => requestId) })
        done.push({ tx, isSuccess })
        if (call !== undefined && isSuccess) {
          if (open.length < call.responses.length) this.history.sometimes("duplicate effect refused")
          if (call.responses.length > 1) this.history.sometimes("batch of several results")
          for (const { requestId, result } of open) {
            requests.set(requestId, { facts: requests.get(requestId)!.facts, fulfilled: receipt })
            effects.push({ requestId, txHash: tx.hash, from: tx.from, result })
          }
        }
      }
      included.push(tx)
    }
    const block: SimBlock = {
      number,
      hash,
      parentHash: parent.hash,
      timestamp,
      parent,
      baseFee: this.baseFee,
      txs: included,
      opened,
      effects,
      state: included.length === 0 ? parent.state : state
    }
    for (const one of done) this.everMined.push({ ...one, block })
    this.head = block
    this.onBlock(block)
    const listeners = [...this.headListeners]
    this.headListeners.clear()
    for (const heard of listeners) heard()
    this.finalNumber = Math.max(this.finalNumber, number - this.options.finalDepth)
  }

  /** Newest last; for checkers. */
  canonical(): ReadonlyArray<SimBlock> {
    const blocks: Array<SimBlock> = []
    for (let block: SimBlock | undefined = this.head; block !== undefined; block = block.parent) blocks.push(block)
    return blocks.toReversed()
  }
}

