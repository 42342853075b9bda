/** A fresh chain for a test file, and the few words that tests say to it. */
import { Effect, Exit, Scope } from "effect"
import {
  HDNodeWallet,
  JsonRpcProvider,
  Mnemonic,
  NonceManager,
  Transaction,
  type TransactionReceipt,
  type TransactionResponse
} from "ethers"
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

const FORGOTTEN_MS = 1_000

/**
 * Anvil's automine loses sight of a transaction that arrives while the one before it is mined: it stays queued behind a nonce
 * that is already used, for ever (about one in ten thousand under load; of the kind of foundry-rs/foundry#10122). It is taken
 * out and sent again.
 */
const sendAgainIfForgotten = async (provider: JsonRpcProvider, sent: TransactionResponse) => {
  if ((await provider.getTransactionCount(sent.from, "latest")) !== sent.nonce) return
  const { pending } = (await provider.send("txpool_content", [])) as { readonly pending: Record<string, Record<string, unknown>> }
  if (pending[sent.from.toLowerCase()]?.[sent.nonce] !== undefined) return
  // Of the whole account: anvil_dropTransaction does not take out what is queued. Those behind it come here in their turn.
  await provider.send("anvil_removePoolTransactions", [sent.from])
  // Refused when it was mined while we looked: then its receipt is there.
  await provider.send("eth_sendRawTransaction", [Transaction.from(sent).serialized]).catch(() => undefined)
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
      const transaction = await sent
      for (let lookAgainAt = Date.now() + FORGOTTEN_MS;;) {
        const receipt = await provider.getTransactionReceipt(transaction.hash)
        if (receipt !== null) return receipt
        if (Date.now() < lookAgainAt) continue
        await sendAgainIfForgotten(provider, transaction)
        lookAgainAt = Date.now() + FORGOTTEN_MS
      }
    },
    stop: async () => {
      provider.destroy()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
