/** The chain of the rig: anvil, mined by us at a steady beat, so that a test may hold the beat while it does something to blocks. */
import { setTimeout as pause } from "node:timers/promises"
import { type JsonRpcProvider, type TransactionReceipt } from "ethers"
import type { Undo } from "../rig.ts"

const BLOCK_MS = 500
const RECEIPT_MS_MAX = 60_000

interface RawBlock {
  readonly transactions: ReadonlyArray<{ readonly hash: string; readonly from: string }>
}

export class Chain {
  private readonly provider: JsonRpcProvider
  private beat: Promise<void> = Promise.resolve()
  private isEnded = false

  private readonly asker: string

  /** `asker` raises requests. */
  static async of(provider: JsonRpcProvider, asker: string): Promise<Chain> {
    // The compose file's chain mines by the clock: from now on the beat is ours, and as fast.
    await provider.send("evm_setIntervalMining", [0])
    await provider.send("evm_setAutomine", [false])
    return new Chain(provider, asker)
  }

  private constructor(provider: JsonRpcProvider, asker: string) {
    this.provider = provider
    this.asker = asker.toLowerCase()
    void this.mineForEver()
  }

  /** No block is mined while it runs. */
  held<A>(work: () => Promise<A>): Promise<A> {
    const done = this.beat.then(work)
    this.beat = done.then(() => {}, () => {})
    return done
  }

  mine(): Promise<unknown> {
    return this.provider.send("evm_mine", [])
  }

  async mined(hash: string): Promise<TransactionReceipt> {
    const until = performance.now() + RECEIPT_MS_MAX
    for (;;) {
      const receipt = await this.provider.getTransactionReceipt(hash)
      if (receipt !== null) return receipt
      if (performance.now() > until) throw new TypeError(`${hash} was not mined within ${RECEIPT_MS_MAX / 1_000} s`)
      await pause(BLOCK_MS / 5)
    }
  }

  /** Requests stand again in the first of the new blocks; what gateways sent is gone, and theirs to bring back. */
  reorg(depth: number): Promise<void> {
    return this.held(async () => {
      const head = await this.provider.getBlockNumber()
      const numbers = Array.from({ length: depth }, (_, index) => head - depth + 1 + index)
      const blocks = await Promise.all(
        numbers.map((number) => this.provider.send("eth_getBlockByNumber", [`0x${number.toString(16)}`, true]) as Promise<RawBlock>)
      )
      const kept = blocks.flatMap(({ transactions }) => transactions).filter(({ from }) => from.toLowerCase() === this.asker)
      const raw = await Promise.all(kept.map(({ hash }) => this.provider.send("eth_getRawTransactionByHash", [hash]) as Promise<string>))
      await this.provider.send("anvil_reorg", [depth, raw.map((bytes) => [bytes, 0])])
    })
  }

  async raiseFees(times: number): Promise<Undo> {
    const { baseFeePerGas } = (await this.provider.getBlock("latest"))!
    const base = baseFeePerGas ?? 1n
    const set = (fee: bigint) => this.provider.send("anvil_setNextBlockBaseFeePerGas", [`0x${fee.toString(16)}`])
    await set(base * BigInt(times))
    return async () => void (await set(base))
  }

  async stop(): Promise<void> {
    this.isEnded = true
    await this.beat
  }

  private async mineForEver(): Promise<void> {
    while (!this.isEnded) {
      await pause(BLOCK_MS)
      await this.held(() => this.mine()).catch(() => {})
    }
  }
}
