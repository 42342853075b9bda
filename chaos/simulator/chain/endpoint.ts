/** One RPC endpoint: a view of the true chain that can be behind, on an old fork, short of logs, too busy, or wrong about what became of a
 * broadcast. Two calls in a row may see two different chains, as behind any load balancer. */
import type { Chance } from "../chance.ts"
import type { History } from "../history.ts"
import { ancestorAt, type LaneTx, type SimBlock } from "./sim-block.ts"
import type { PoolAnswer, SimChain } from "./sim-chain.ts"

/** What it does with a broadcast besides the truth: takes it and forgets it, takes it and does not answer, takes it and says that it had it
 * before, takes it and says that its nonce is used. */
export type BroadcastFault = "forgets" | "answers-nothing" | "already-known" | "nonce-too-low"

export class Endpoint {
  readonly name: string
  readonly chain: SimChain
  private readonly history: History
  private readonly chance: Chance
  /** Blocks behind the true head. */
  lag = 0
  /** Of the answers with logs, so many lack some; the bloom filter gives it away. 0 to 1. */
  omitting = 0
  /** Of all calls, so many are one too many. 0 to 1. */
  limiting = 0
  isDown = false
  /** The head of a branch that the chain has left, while this endpoint has not noticed. */
  private branch: SimBlock | undefined
  private readonly lies: Array<BroadcastFault> = []

  constructor(name: string, chain: SimChain, history: History, chance: Chance) {
    this.name = name
    this.chain = chain
    this.history = history
    this.chance = chance
  }

  /** Why a call fails now; undefined when it does not. */
  refusal(): string | undefined {
    if (this.isDown) return "connection refused"
    return this.chance.happens(this.limiting) ? "429 Too Many Requests" : undefined
  }

  omitsLogs(): boolean {
    return this.chance.happens(this.omitting)
  }

  /** Answers from the branch that ends here, as if it stood, until this is called. */
  stayOn(branch: SimBlock): () => void {
    this.branch = branch
    return () => void (this.branch = this.branch === branch ? undefined : this.branch)
  }

  get head(): SimBlock {
    if (this.branch !== undefined) {
      this.history.sometimes("endpoint on a branch that was left")
      return this.branch
    }
    if (this.lag === 0) return this.chain.head
    this.history.sometimes("endpoint lagged")
    return ancestorAt(this.chain.head, Math.max(0, this.chain.head.number - this.lag)) ?? this.chain.head
  }

  get finalizedNumber(): number {
    return Math.min(this.chain.finalizedNumber, Math.max(0, this.head.number - this.chain.options.finalDepth))
  }

  /** About broadcasts; the newest lie counts. Answers how to end it. */
  lie(lie: BroadcastFault): () => Promise<void> {
    this.lies.push(lie)
    return async () => void this.lies.splice(this.lies.indexOf(lie), 1)
  }

  /** Undefined: nobody can say what happened to it. */
  broadcast(tx: LaneTx): PoolAnswer | undefined {
    const lie = this.lies.at(-1)
    if (lie === "forgets") return "accepted"
    // By its own state, and then nobody else hears of it.
    if (this.branch !== undefined && tx.nonce < (this.branch.state.nonces.get(tx.from) ?? 0)) return "nonce-used"
    const answer = this.chain.submit(tx)
    if (answer === "already-known") this.history.sometimes("broadcast already known")
    if (answer === "nonce-used") this.history.sometimes("nonce already used")
    if (lie === "answers-nothing") return undefined
    if (lie === "nonce-too-low") return "nonce-used"
    return lie === "already-known" ? "already-known" : answer
  }
}
