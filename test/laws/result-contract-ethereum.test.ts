/** The gateway contract on anvil, as a lane sees it. Lanes are accounts that nothing else uses; one has a key and no money. */
import { Effect, Exit, Scope } from "effect"
import { toQuantity, Transaction, Wallet } from "ethers"
import { resultContractLayer } from "../../src/adapters/ethereum/result-contract.layer.ts"
import { makeRpc } from "../../src/adapters/ethereum/rpc.ts"
import { lower, type Hex } from "../../src/domain/hex.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { EthereumWorld } from "../adapters/ethereum/ethereum-world.ts"
import { randomHex } from "../contracts/world.ts"
import { resultContractLaws, type Signed } from "./result-contract.laws.ts"

const readTransaction = (rawTx: Hex): Signed => {
  const { hash, from, to, nonce, chainId, gasLimit, maxFeePerGas, maxPriorityFeePerGas, value, data } = Transaction.from(rawTx)
  return {
    txHash: lower(hash!),
    from: lower(from!),
    to: lower(to!),
    nonce,
    chainId,
    gasLimit,
    fees: { maxFeePerGas: maxFeePerGas!, maxPriorityFeePerGas: maxPriorityFeePerGas! },
    isEmpty: value === 0n && data === "0x"
  }
}

resultContractLaws("the gateway contract on anvil", async () => {
  const world = await EthereumWorld.start("quorum")
  const pauper = new Wallet(randomHex(32))
  const wallets = [world.wallet(6), world.wallet(7), pauper]
  const policy = { type: "confirmations", blocks: 2 } as const
  const results = await world.open(ResultContract, resultContractLayer(await world.rpc(), world.contracts, wallets, policy))
  const handle = await world.openHandle()
  const scope = await Effect.runPromise(Scope.make())
  return {
    results,
    chainId: world.contracts.chainId,
    gateway: world.contracts.decryptionGateway,
    lanes: [world.address(6), world.address(7)],
    pauper: lower(pauper.address),
    request: async () => (await world.requested([handle])).id,
    batchOf: (ids, change) => world.batchOf(ids, change),
    now: async () => (await world.head()).timestamp,
    read: readTransaction,
    withoutMining: async (run) => {
      const { chain } = world.world
      await chain.rpc("evm_setAutomine", false)
      await run().finally(() => chain.rpc("evm_setAutomine", true))
      await world.mine(1)
    },
    mine: (blocks) => world.mine(blocks),
    withBlocksOf: async (gas, run) => {
      const { chain } = world.world
      const before = (await chain.provider.getBlock("latest"))?.gasLimit
      const hold = async (most: bigint | undefined) => {
        await chain.rpc("evm_setBlockGasLimit", toQuantity(most ?? 0n))
        await world.mine(1)
      }
      await hold(gas)
      await run().finally(() => hold(before))
    },
    reorganise: (depth) => world.reorganise(depth),
    offline: async () => {
      const rpc = await Effect.runPromise(Scope.provide(makeRpc("http://127.0.0.1:1", world.contracts.chainId), scope))
      return world.open(ResultContract, resultContractLayer(rpc, world.contracts, wallets, policy))
    },
    close: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await world.stop()
    }
  }
})
