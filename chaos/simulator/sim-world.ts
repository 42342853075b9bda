/** A whole cluster in one process, in virtual time: gateways, their database, bus, chain, endpoints, KMS nodes and object store. One seed, one
 * history. */
import { type Cause, Effect } from "effect"
import { listenerLease } from "../../actors/1-detected.actor.ts"
import type { CiphertextRecord } from "../../src/domain/ciphertext.ts"
import type { Handle } from "../../src/domain/handle.ts"
import { toHex } from "../../src/domain/hex.ts"
import { isEnd, type RequestState } from "../../src/domain/journey.ts"
import { LEASE_MS } from "../../src/domain/limits.ts"
import { type DecryptionRequest, requestIdOf, type RequestId, ZERO_ADDRESS } from "../../src/domain/request.ts"
import type { ClusterShape } from "../rig.ts"
import { Endpoint } from "./chain/endpoint.ts"
import { SimChain } from "./chain/sim-chain.ts"
import { delegated } from "./chain/sim-contract.ts"
import { Chance } from "./chance.ts"
import { EventLoop, Process } from "./event-loop.ts"
import { GatewayNode } from "./gateway-node.ts"
import { History } from "./history.ts"
import { addressOf, EPOCH, SimCommittee, type SimCiphertext } from "./kms/sim-committee.ts"
import { SimKmsNode } from "./kms/sim-kms-node.ts"
import { encodeElement } from "./kms/stand-in-mathematics.ts"
import { makeMemoryDatabase, type MemoryDatabase } from "./ledger/memory-database.ts"
import { leaseTable, requestTable } from "./ledger/tables.ts"
import { SimObjectStore } from "./object-store.ts"
import { Broker, noMessageShares, type MessageShares } from "./sim-bus.ts"
import type { Alarm } from "./sim-telemetry.ts"
import type { Mutation, Surrounded, Surroundings } from "./surroundings.ts"

/** 2026-01-01: any day will do, as long as it is always the same. */
const START_MS = 1_767_225_600_000
const BLOCK_MS = 1_000
export const FINAL_DEPTH = 4
const CHAIN_ID = 31_337n
/** Requests may ask for the same handle: there are fewer of these than of those. */
const HANDLES = 8
/** Nobody has a permission for these, or not for long: whoever asks for one deserves a no, sooner or later. */
const CLOSED_HANDLES = 4
const LIFETIME_SECONDS = 3_600
const STORES = ["a", "b"]
/** A node whose start failed is started again by whatever supervises it. */
const RESTART_MS = 1_000

export interface Expected {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  /** How it may end, when nothing but faults that heal is injected. */
  readonly mayEnd: ReadonlyArray<RequestState>
}

export interface WorldOptions {
  readonly seed: number
  readonly shape: ClusterShape
  readonly mutation?: Mutation
}

export class SimWorld implements Surroundings {
  readonly seed: number
  readonly shape: ClusterShape
  readonly chance: Chance
  readonly loop = new EventLoop(START_MS)
  readonly process: Process
  readonly history: History
  readonly chain: SimChain
  readonly chainId = CHAIN_ID
  readonly gateway = addressOf("gateway")
  readonly registry = addressOf("registry")
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly committee: SimCommittee
  readonly ciphertexts = new Map<Handle, SimCiphertext>()
  readonly records: ReadonlyMap<Handle, CiphertextRecord>
  readonly kmsNodes: ReadonlyArray<SimKmsNode>
  readonly broker: Broker
  readonly store: SimObjectStore
  readonly database: MemoryDatabase
  readonly gateways = new Map<string, GatewayNode>()
  readonly died: Array<Alarm> = []
  readonly expected = new Map<RequestId, Expected>()
  readonly mutation: Mutation
  /** Called around everything that a gateway has done elsewhere. */
  onMoment: Surroundings["onMoment"] = () => undefined
  /** Called when a lane's bytes leave a gateway. */
  onBroadcast: Surroundings["onBroadcast"] = () => undefined
  /** Who was seen with each lease, under which epoch and since when. */
  private readonly leaseTerms = new Map<string, { readonly owner: string; readonly epoch: bigint; readonly sinceMs: number }>()
  private readonly startListeners = new Set<(name: string) => void>()
  private readonly lives = new Map<string, number>()
  private readonly messages = new Map<string, MessageShares>()
  private readonly lostKeys = new Map<string, Set<number>>()
  readonly users: Chance

  constructor({ seed, shape, mutation = (services) => services }: WorldOptions) {
    this.seed = seed
    this.shape = shape
    this.mutation = mutation
    this.chance = new Chance(seed)
    this.process = new Process("world", this.loop, this.chance.stream("world"))
    this.history = new History(this.loop)
    this.users = this.chance.stream("users")
    this.committee = new SimCommittee(shape.kmsNodes, shape.threshold)
    this.store = new SimObjectStore(STORES, this.history, this.chance.stream("store"))
    this.makeCiphertexts()
    this.records = new Map([...this.ciphertexts].map(([handle, { record }]) => [handle, record]))
    this.chain = new SimChain(
      {
        rules: {
          chainId: CHAIN_ID,
          gateway: this.gateway,
          isAttestationRight: (digest, attestation) => this.committee.isAttestationRight(digest, attestation)
        },
        startSeconds: START_MS / 1_000,
        finalDepth: FINAL_DEPTH,
        permissions: [
          delegated(addressOf("account"), addressOf("requester")),
          ...this.openHandles.flatMap((handle) => [`public ${handle}`, `${addressOf("account")} ${handle}`])
        ]
      },
      this.history,
      this.chance.stream("chain")
    )
    this.endpoints = Array.from(
      { length: shape.rpcEndpoints },
      (_, index) => new Endpoint(`r${index + 1}`, this.chain, this.history, this.chance.stream(`r${index + 1}`))
    )
    this.kmsNodes = Array.from({ length: shape.kmsNodes }, (_, index) => {
      const process = new Process(`k${index + 1}`, this.loop, this.chance.stream(`k${index + 1}`))
      // Of the nodes' operators, with a connection of their own that is never faulted with the gateways' endpoints.
      const endpoint = new Endpoint(`k${index + 1}'s own`, this.chain, this.history, this.chance.stream(`k${index + 1} endpoint`))
      return new SimKmsNode(index + 1, process, this.committee, this.ciphertexts, endpoint)
    })
    this.broker = new Broker(this.process, this.history, this.chance.stream("bus"))
    this.database = Effect.runSync(Effect.provideContext(makeMemoryDatabase, this.process.context))
    this.mineForEver()
    for (let index = 0; index < shape.gateways; index++) this.start(`g${index + 1}`)
  }

  private makeCiphertexts(): void {
    const chance = this.chance.stream("ciphertexts")
    for (let index = 0; index < HANDLES + CLOSED_HANDLES; index++) {
      const handle = toHex(chance.bytes(32))
      const stores = chance.happens(0.5) ? STORES : STORES.slice(0, 1)
      const made = this.committee.encrypt(handle, addressOf("owner"), stores, chance)
      this.ciphertexts.set(handle, made)
      for (const location of made.record.locations) this.store.objects.set(location, made.bytes)
    }
  }

  private watchLeases(): void {
    const { nowMs } = this.loop
    for (const { name, owner, epoch, untilMs } of this.database.table(leaseTable).all()) {
      if (owner === null) continue
      const before = this.leaseTerms.get(name)
      if (before !== undefined && before.owner !== owner) this.history.sometimes("lease taken over")
      // Coordinators claim their own again and again; a listener would lose its lease if nobody renewed it.
      const isKept = untilMs > nowMs && before?.epoch === epoch && nowMs - before.sinceMs > LEASE_MS
      if (isKept && name === listenerLease(CHAIN_ID)) this.history.sometimes("leader for longer than a lease")
      if (before?.epoch !== epoch) this.leaseTerms.set(name, { owner, epoch, sinceMs: nowMs })
    }
  }

  get heads(): Set<() => void> {
    return this.chain.headListeners
  }

  get openHandles(): ReadonlyArray<Handle> {
    return [...this.ciphertexts.keys()].slice(0, HANDLES)
  }

  get closedHandles(): ReadonlyArray<Handle> {
    return [...this.ciphertexts.keys()].slice(HANDLES)
  }

  private mineForEver(): void {
    this.loop.after(this.process, BLOCK_MS, () => {
      this.chain.mine(Math.floor(this.loop.nowMs / 1_000))
      this.watchLeases()
      this.mineForEver()
    })
  }

  /** A new life of a node. */
  start(name: string): void {
    if (this.gateways.get(name)?.process.isAlive === true) return
    const life = (this.lives.get(name) ?? 0) + 1
    this.lives.set(name, life)
    this.history.tell(name, `starts, life ${life}`)
    this.gateways.set(name, new GatewayNode(this, name, life, this.messagesOf(name), new Set(this.lostKeysOf(name))))
    for (const listener of this.startListeners) listener(name)
  }

  /** Answers how to stop listening. */
  onStarted(listener: (name: string) => void): () => void {
    this.startListeners.add(listener)
    return () => void this.startListeners.delete(listener)
  }

  messagesOf(name: string): MessageShares {
    const shares = this.messages.get(name) ?? noMessageShares()
    this.messages.set(name, shares)
    return shares
  }

  lostKeysOf(name: string): Set<number> {
    const lost = this.lostKeys.get(name) ?? new Set<number>()
    this.lostKeys.set(name, lost)
    return lost
  }

  kill(name: string): void {
    const node = this.gateways.get(name)
    if (node === undefined || !node.process.isAlive) return
    this.history.sometimes("process killed with work under way")
    this.history.tell(name, "is killed")
    node.kill()
  }

  onStartFailed(node: Surrounded, cause: Cause.Cause<unknown>): void {
    this.history.tell(node.name, `did not start: ${String(cause.reasons[0]?._tag)}`)
    if (cause.reasons.some(({ _tag }) => _tag === "Die")) this.died.push({ node: node.name, what: `start: ${String(cause)}` })
    node.kill()
    this.loop.after(this.process, RESTART_MS, () => this.start(node.name))
  }

  /** One request of somebody who may ask. */
  aRequest(given: Partial<DecryptionRequest> = {}): Expected {
    const { users } = this
    const kind = users.happens(0.75) ? "public" : "user"
    const handles = users.shuffled(this.openHandles).slice(0, users.between(1, 2))
    const facts: DecryptionRequest = {
      chainId: CHAIN_ID,
      gateway: this.gateway,
      kind,
      requester: addressOf("requester"),
      account: kind === "public" ? ZERO_ADDRESS : addressOf("account"),
      epoch: EPOCH,
      deadline: Math.floor(this.loop.nowMs / 1_000) + LIFETIME_SECONDS,
      callbackGas: 0,
      salt: toHex(users.bytes(32)),
      handles,
      transportKey: kind === "public" ? "0x" : toHex(encodeElement(BigInt(users.uint32()) + 1n, 48)),
      ...given
    }
    return { id: requestIdOf(facts), facts, mayEnd: ["finalized"] }
  }

  ask(expected: Expected): RequestId {
    this.expected.set(expected.id, expected)
    this.chain.request(expected.id, expected.facts)
    return expected.id
  }

  /** What the contract must get. */
  resultOf(facts: DecryptionRequest): Uint8Array {
    return this.committee.resultOf(facts, this.ciphertexts)
  }

  stateOf(id: RequestId): RequestState | undefined {
    return this.database.table(requestTable).get(id)?.state
  }

  /** Lost on chain before anybody had seen it: there is nothing to end. */
  isForgotten(id: RequestId): boolean {
    return this.stateOf(id) === undefined && this.chain.lost.has(id)
  }

  isOver(id: RequestId): boolean {
    const state = this.stateOf(id)
    return state === undefined ? this.isForgotten(id) : isEnd(state)
  }

  get nowMs(): number {
    return this.loop.nowMs - START_MS
  }

  /** Lets so much time pass, or less: until `isOver`, which is looked at every so often. */
  pass(ms: number, isOver: () => boolean = () => false): boolean {
    const end = this.loop.nowMs + ms
    while (this.loop.nowMs < end) {
      if (isOver()) return true
      this.loop.run(Math.min(end, this.loop.nowMs + LOOK_MS), never)
    }
    return isOver()
  }
}

const LOOK_MS = 100
const never = () => false
