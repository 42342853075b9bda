/** The contracts on a chain of their own, what tests do on it, and a connection to it that can be told to lie. */
import assert from "node:assert/strict"
import { Effect, Exit, type Layer, Scope } from "effect"
import {
  AbiCoder,
  concat,
  Contract,
  HDNodeWallet,
  Mnemonic,
  toBeHex,
  type TransactionReceipt,
  type TransactionResponse,
  Wallet
} from "ethers"
import type { Contracts } from "../../../src/adapters/ethereum/addresses.ts"
import * as decryptionGateway from "../../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { makeRpc, type Rpc, type RpcOptions } from "../../../src/adapters/ethereum/rpc.ts"
import { fromHex, lower, type Hex } from "../../../src/domain/hex.ts"
import type { BlockRef } from "../../../src/domain/outcome.ts"
import { type DecryptionRequest, requestIdOf, ZERO_ADDRESS } from "../../../src/domain/request.ts"
import type { AttestedBatch } from "../../../src/domain/response.ts"
import { randomHex, resultOf, startWorld, type World } from "../../contracts/world.ts"
import { startRpcProxy, type RpcProxy } from "../../support/rpc-proxy.ts"

/** A compressed G1 point as far as the contract looks. */
export const A_TRANSPORT_KEY: Hex = `0x80${"11".repeat(47)}`
export const LIFETIME_SECONDS = 3_600
const ACCOUNTS = 5

export interface Asked {
  readonly id: Hex
  readonly facts: DecryptionRequest
}

export interface Sent {
  readonly txHash: Hex
  readonly block: BlockRef
}

type Send = () => Promise<TransactionResponse>

export class EthereumWorld {
  readonly world: World
  readonly contracts: Contracts
  readonly proxy: RpcProxy
  private readonly scope: Scope.Closeable
  /** Deriving one from the mnemonic takes milliseconds. */
  private readonly addresses = new Map<number, Hex>()

  static async start(scheme: "bls" | "quorum" = "quorum"): Promise<EthereumWorld> {
    const world = await startWorld(scheme)
    const proxy = await startRpcProxy(world.chain.url)
    return new EthereumWorld(world, proxy, await Effect.runPromise(Scope.make()))
  }

  private constructor(world: World, proxy: RpcProxy, scope: Scope.Closeable) {
    const { addresses, blockNumber } = world.deployment
    this.world = world
    this.proxy = proxy
    this.scope = scope
    this.contracts = { chainId: BigInt(world.chain.chainId), ...addresses, startBlock: blockNumber }
  }

  async stop(): Promise<void> {
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
    await this.proxy.close()
    await this.world.chain.stop()
  }

  rpc(options: RpcOptions = {}): Promise<Rpc> {
    return Effect.runPromise(Scope.provide(makeRpc(this.proxy.url, this.contracts.chainId, options), this.scope))
  }

  /** The service that a layer gives. */
  open<I, S>(port: Effect.Effect<S, never, I>, layer: Layer.Layer<I>): Promise<S> {
    return Effect.runPromise(Effect.provide(port, layer))
  }

  address(index: number): Hex {
    const address = this.addresses.get(index) ?? lower(this.world.chain.address(index))
    this.addresses.set(index, address)
    return address
  }

  /** A key that the chain has given plenty, for a lane. */
  wallet(index: number): Wallet {
    const phrase = Mnemonic.fromPhrase(this.world.chain.mnemonic)
    return new Wallet(HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${index}`).privateKey)
  }

  async head(): Promise<BlockRef & { readonly timestamp: number }> {
    const block = await this.world.chain.provider.getBlock("latest")
    return { blockNumber: block!.number, blockHash: lower(block!.hash!), timestamp: block!.timestamp }
  }

  register(): Promise<Hex> {
    return this.world.registered()
  }

  async openHandle(): Promise<Hex> {
    const handle = await this.register()
    await this.allowPublic(handle)
    return handle
  }

  allowPublic(handle: Hex): Promise<Sent> {
    return this.send(() => this.world.list.getFunction("allowForDecryption")(handle))
  }

  revokePublic(handle: Hex): Promise<Sent> {
    return this.send(() => this.world.list.getFunction("revokeForDecryption")(handle))
  }

  allow(handle: Hex, account: Hex): Promise<Sent> {
    return this.send(() => this.world.list.getFunction("allow")(handle, account))
  }

  async factsOf(handles: ReadonlyArray<Hex>, over: Partial<DecryptionRequest> = {}): Promise<Asked> {
    const facts: DecryptionRequest = {
      chainId: this.contracts.chainId,
      gateway: this.contracts.decryptionGateway,
      kind: "public",
      requester: this.address(0),
      account: ZERO_ADDRESS,
      epoch: 1,
      deadline: (await this.head()).timestamp + LIFETIME_SECONDS,
      callbackGas: 0,
      salt: randomHex(32),
      handles,
      transportKey: "0x",
      ...over
    }
    return { id: requestIdOf(facts), facts }
  }

  /** Account 0 asks, for the plaintexts or, with an account whose permission is used, for keys. */
  ask({ facts }: Asked, gateway = this.world.gateway): Promise<TransactionResponse> {
    return facts.kind === "public"
      ? gateway.getFunction("requestPublic")(facts.handles, facts.deadline, facts.callbackGas, facts.salt)
      : gateway.getFunction("requestUser")(facts.handles, facts.account, facts.transportKey, facts.deadline, facts.salt)
  }

  async requested(handles: ReadonlyArray<Hex>, over: Partial<DecryptionRequest> = {}): Promise<Asked & Sent> {
    const asked = await this.factsOf(handles, over)
    return { ...asked, ...(await this.send(() => this.ask(asked))) }
  }

  /** Another DecryptionGateway, with the same registries: its logs look like ours. */
  async impostor(): Promise<Contract> {
    const { committeeRegistry, ciphertextRegistry, accessList } = this.contracts
    const registries = [committeeRegistry, ciphertextRegistry, accessList]
    const parameters = AbiCoder.defaultAbiCoder().encode(["address", "address", "address"], registries)
    const data = concat([decryptionGateway.bytecode, parameters])
    const receipt = await this.receipt(() => this.world.chain.account(0).sendTransaction({ data }))
    return new Contract(receipt.contractAddress!, decryptionGateway.abi, this.world.chain.account(0))
  }

  /** One transaction that calls the gateway with each of these; whoever calls is a contract that only lives for this. */
  async inOneTransaction(calls: ReadonlyArray<string>): Promise<{ readonly caller: Hex; readonly sent: Sent }> {
    // For each call: CODECOPY(0, offset, length); POP(CALL(GAS, gateway, 0, 0, length, 0, 0))
    const CALL_BYTES = 11 + 35
    const code: Array<string> = []
    let offset = calls.length * CALL_BYTES + 1
    for (const data of calls) {
      const length = (data.length - 2) / 2
      const [size, at] = [toBeHex(length, 2).slice(2), toBeHex(offset, 4).slice(2)]
      const copy = `61${size}63${at}600039`
      const call = `6000600061${size}6000600073${this.contracts.decryptionGateway.slice(2)}5af150`
      code.push(copy, call)
      offset += length
    }
    assert(code.join("").length === calls.length * CALL_BYTES * 2, "the data begins where the code says")
    const data = concat([`0x${code.join("")}00`, ...calls])
    const receipt = await this.receipt(() => this.world.chain.account(0).sendTransaction({ data, gasLimit: 5_000_000n }))
    return { caller: lower(receipt.contractAddress!), sent: sentBy(receipt) }
  }

  /** All of these in one block, in this order. */
  async inOneBlock(sends: ReadonlyArray<Send>): Promise<ReadonlyArray<Sent>> {
    const { chain } = this.world
    await chain.rpc("evm_setAutomine", false)
    const pending: Array<TransactionResponse> = []
    for (const send of sends) pending.push(await send())
    await this.mine(1)
    await chain.rpc("evm_setAutomine", true)
    const sent = await Promise.all(pending.map(async (transaction) => sentBy(await chain.mined(Promise.resolve(transaction)))))
    assert(new Set(sent.map(({ block }) => block.blockHash)).size === 1, "they stand in one block")
    return sent
  }

  async batchOf(ids: ReadonlyArray<Hex>, change: { readonly expiry?: number } = {}): Promise<AttestedBatch> {
    const responses = ids.map((requestId) => ({ requestId, result: resultOf(fromHex(randomHex(4))) }))
    const { root, attestation } = await this.world.attested(responses, change)
    return {
      attested: root,
      chainId: this.contracts.chainId,
      gateway: this.contracts.decryptionGateway,
      attestation: fromHex(attestation),
      responses: responses.map(({ requestId, result }) => ({ requestId, result: fromHex(result) }))
    }
  }

  async fulfil(id: Hex): Promise<Sent> {
    const { attested, attestation, responses } = await this.batchOf([id])
    return this.send(() => this.world.gateway.getFunction("fulfilBatch")(attested, attestation, responses))
  }

  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i += 1) await this.world.chain.rpc("evm_mine")
  }

  async pass(seconds: number): Promise<void> {
    await this.world.chain.rpc("evm_increaseTime", seconds)
    await this.mine(1)
  }

  /** The newest blocks, and every transaction in them, are gone; others, with other contents, stand in their place. */
  async reorganise(depth: number): Promise<void> {
    await this.world.chain.rpc("anvil_reorg", depth, [])
    for (let index = 0; index < ACCOUNTS; index += 1) this.world.chain.account(index).reset()
  }

  send(send: Send): Promise<Sent> {
    return this.receipt(send).then(sentBy)
  }

  private async receipt(send: Send): Promise<TransactionReceipt> {
    const receipt = await this.world.chain.mined(send())
    assert(receipt.status === 1, "the transaction succeeds")
    return receipt
  }
}

const sentBy = (receipt: TransactionReceipt): Sent => ({
  txHash: lower(receipt.hash),
  block: { blockNumber: receipt.blockNumber, blockHash: lower(receipt.blockHash) }
})
