/** A fresh chain for a test file, and the few words that tests say to it. */
import { Effect, Exit, Scope } from "effect"
import { HDNodeWallet, JsonRpcProvider, Mnemonic, NonceManager, type TransactionReceipt, type TransactionResponse } from "ethers"
import { startAnvil, type Anvil, type AnvilOptions } from "../../src/adapters/embedded/anvil.ts"

export interface TestChain extends Anvil {
  readonly provider: JsonRpcProvider
  /** Account `index`; keeps its own nonce, so transactions may be sent without waiting for the one before. */
  readonly account: (index: number) => NonceManager
  readonly address: (index: number) => string
  readonly rpc: (method: string, ...params: ReadonlyArray<unknown>) => Promise<unknown>
  /** Sends, and waits for the receipt, whether it succeeded or not. */
  readonly mined: (sent: Promise<TransactionResponse>) => Promise<TransactionReceipt>
  readonly stop: () => Promise<void>
}

export const startTestChain = async (options: AnvilOptions = {}): Promise<TestChain> => {
  const scope = await Effect.runPromise(Scope.make())
  const anvil = await Effect.runPromise(Scope.provide(startAnvil(options), scope))
  const provider = new JsonRpcProvider(anvil.url, anvil.chainId, {
    staticNetwork: true,
    cacheTimeout: -1,
    polling: true,
    pollingInterval: 10
  })
  const wallet = (index: number) =>
    HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(anvil.mnemonic), `m/44'/60'/0'/0/${index}`).connect(provider)
  const accounts = new Map<number, NonceManager>()
  const account = (index: number): NonceManager => {
    const known = accounts.get(index) ?? new NonceManager(wallet(index))
    accounts.set(index, known)
    return known
  }
  return {
    ...anvil,
    provider,
    account,
    address: (index) => wallet(index).address,
    rpc: (method, ...params) => provider.send(method, [...params]),
    mined: async (sent) => {
      const { hash } = await sent
      for (;;) {
        const receipt = await provider.getTransactionReceipt(hash)
        if (receipt !== null) return receipt
      }
    },
    stop: async () => {
      provider.destroy()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
