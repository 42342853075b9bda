/** The simulator's chain by itself, without a cluster: what tests do on it, and its ports as a gateway has them. */
import { Effect } from "effect"
import { chainPorts } from "../../chaos/simulator/chain/chain-ports.ts"
import { Endpoint } from "../../chaos/simulator/chain/endpoint.ts"
import { ancestorAt, encodeLaneTx, refOf, type SimBlock, type Tx } from "../../chaos/simulator/chain/sim-block.ts"
import { SimChain } from "../../chaos/simulator/chain/sim-chain.ts"
import { fulfilmentOf } from "../../chaos/simulator/chain/chain-ports.ts"
import { Chance } from "../../chaos/simulator/chance.ts"
import { Process } from "../../chaos/simulator/event-loop.ts"
import { History } from "../../chaos/simulator/history.ts"
import { SimCommittee } from "../../chaos/simulator/kms/sim-committee.ts"
import { Link } from "../../chaos/simulator/remote-call.ts"
import { fromHex, type Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"
import { type DecryptionRequest, requestIdOf, type RequestId, ZERO_ADDRESS } from "../../src/domain/request.ts"
import { attestationDigest, responseLeaf, resultHashOf, type AttestedBatch } from "../../src/domain/response.ts"
import { toHex } from "../../src/domain/hex.ts"
import type { FinalityPolicy } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { merkleRoot } from "../../src/threshold/merkle.ts"
import { drivenLoop } from "./driven-loop.ts"
import { random32, randomAddress } from "./ledger-world.ts"

export const LIFETIME_SECONDS = 3_600
const START_SECONDS = 1_800_000_000
/** What the chain calls final has so many blocks on it. */
const FINAL_DEPTH = 2
const RICH = 10n ** 20n

export interface SimulatedMade {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly block: BlockRef
}

export class SimulatedChain {
  readonly chainId = 31_337n
  readonly gateway = randomAddress()
  readonly requester = randomAddress()
  readonly committee = new SimCommittee(3, 2)
  readonly chain: SimChain
  readonly endpoint: Endpoint
  readonly history: History
  readonly world: Process
  readonly chance = new Chance("laws of the chain")
  private readonly driven = drivenLoop()
  private isMining = true
  private seconds = START_SECONDS

  constructor() {
    const { loop } = this.driven
    this.history = new History(loop)
    this.world = new Process("world", loop, this.chance)
    const { chainId, gateway, committee } = this
    const isAttestationRight = (digest: Hex, attestation: Hex) => committee.isAttestationRight(digest, attestation)
    this.chain = new SimChain(
      { rules: { chainId, gateway, isAttestationRight }, startSeconds: START_SECONDS, finalDepth: FINAL_DEPTH, permissions: [] },
      this.history,
      this.chance
    )
    this.endpoint = new Endpoint("r1", this.chain, this.history, this.chance)
    // As a chain of developers does it: whatever is taken is mined at once.
    this.chain.onSent = () => loop.soon(this.world, () => (this.isMining ? this.mineNow(1) : undefined))
    this.mineNow(2 * FINAL_DEPTH)
  }

  stop(): void {
    this.driven.stop()
  }

  link(name: string): Link {
    return new Link(name, this.world, this.world, this.chance, { leastMs: 0.01, mostMs: 0.02, timeoutMs: 5_000 })
  }

  ports({ lanes = [], paupers = [], policy = { type: "finalized" }, isDown = false }: {
    readonly lanes?: ReadonlyArray<Hex>
    readonly paupers?: ReadonlyArray<Hex>
    readonly policy?: FinalityPolicy
    readonly isDown?: boolean
  } = {}) {
    const endpoint = isDown ? new Endpoint("nowhere", this.chain, this.history, this.chance) : this.endpoint
    endpoint.isDown = isDown
    const way = { endpoint, link: this.link("r1") }
    return chainPorts({
      chainId: this.chainId,
      lanes: [...lanes, ...paupers],
      committee: this.committee.record,
      records: new Map(),
      aclFinality: policy,
      resultFinality: policy,
      choose: () => way,
      elsewhere: () => way,
      onNextHead: () => () => undefined,
      endowmentOf: (address) => (paupers.includes(address) ? 0n : RICH)
    })
  }

  /** The service that the ports give. */
  open<I, S>(port: Effect.Effect<S, never, I>, ports: ReturnType<SimulatedChain["ports"]>): S {
    return Effect.runSync(Effect.provide(port as Effect.Effect<S>, ports))
  }

  private mineNow(blocks: number): void {
    for (let count = 0; count < blocks; count++) this.chain.mine(++this.seconds)
  }

  async mine(blocks: number): Promise<void> {
    this.mineNow(blocks)
  }

  async pass(seconds: number): Promise<void> {
    this.seconds += seconds
    this.mineNow(1)
  }

  /** The newest blocks, and every transaction in them, are gone; others, with other contents, stand in their place. */
  async reorganise(depth: number): Promise<void> {
    this.chain.reorganise(depth, 1, 1)
    this.seconds = this.chain.head.timestamp
  }

  async withoutMining(run: () => Promise<void>): Promise<void> {
    this.isMining = false
    await run().finally(() => (this.isMining = true))
    this.mineNow(1)
  }

  get head(): SimBlock {
    return this.chain.head
  }

  at(number: number): BlockRef {
    return refOf(ancestorAt(this.head, number)!)
  }

  /** All of these in one block, in this order. */
  async send(...txs: ReadonlyArray<Tx>): Promise<BlockRef> {
    for (const tx of txs) this.chain.send(tx)
    this.mineNow(1)
    return refOf(this.head)
  }

  permit(key: string, isAllowed: boolean): Promise<BlockRef> {
    return this.send({ type: "permit", key, isAllowed })
  }

  factsOf(over: Partial<DecryptionRequest> = {}): DecryptionRequest {
    return {
      chainId: this.chainId,
      gateway: this.gateway,
      kind: "public",
      requester: this.requester,
      account: ZERO_ADDRESS,
      epoch: this.committee.record.epoch,
      deadline: this.head.timestamp + LIFETIME_SECONDS,
      callbackGas: 0,
      salt: random32(),
      handles: [random32()],
      transportKey: "0x",
      ...over
    }
  }

  async requested(over: Partial<DecryptionRequest> = {}): Promise<SimulatedMade> {
    const facts = this.factsOf(over)
    const id = requestIdOf(facts)
    return { id, facts, block: await this.send({ type: "request", id, facts }) }
  }

  async batchOf(ids: ReadonlyArray<RequestId>, { expiry = this.seconds + LIFETIME_SECONDS }: { readonly expiry?: number } = {}): Promise<AttestedBatch> {
    const responses = ids.map((requestId) => ({ requestId, result: fromHex(random32()) }))
    const leaves = responses.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))
    const attested = { root: toHex(merkleRoot(leaves)), count: ids.length, epoch: this.committee.record.epoch, expiry }
    const { chainId, gateway } = this
    return { attested, chainId, gateway, responses, attestation: this.committee.attestationOf(attestationDigest(this, attested)) }
  }

  /** By somebody of whom nobody knows. */
  async fulfil(id: RequestId): Promise<{ readonly txHash: Hex; readonly block: BlockRef }> {
    const fees = { maxFeePerGas: this.chain.baseFee * 2n, maxPriorityFeePerGas: 1n }
    const fulfilment = fulfilmentOf(await this.batchOf([id]))
    const tx = { chainId: this.chainId, from: randomAddress(), to: this.gateway, nonce: 0, gasLimit: 1_000_000n, fees, fulfilment }
    const { rawTx, txHash } = encodeLaneTx(tx)
    this.chain.submit({ ...tx, type: "lane", hash: txHash, rawTx })
    this.mineNow(1)
    return { txHash, block: refOf(this.head) }
  }
}
