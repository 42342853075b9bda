/** A chain in memory as far as `inspect` sees it: permissions, requests and fulfilments at every block that ever stood, and an endpoint to it
 * that takes some milliseconds. What it says of a block by hash never changes; which blocks stand does. */
import assert from "node:assert/strict"
import { Clock, Effect } from "effect"
import { encodeInspect } from "../../src/adapters/ethereum/inspect-abi.ts"
import { idsIn } from "../../src/adapters/ethereum/many-statuses.ts"
import type { BlockHeader, BlockTag, Rpc } from "../../src/adapters/ethereum/rpc.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf, type RequestId } from "../../src/domain/request.ts"
import { ChainUnavailable } from "../../src/journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../src/journey/2-acl-checked/access-list.port.ts"

export const ANSWER_MS = 3
const FINALIZED_DEPTH = 3
export const BLOCK_SECONDS = 12

export interface Block {
  readonly header: BlockHeader
  readonly parent: Block | undefined
  /** Rules as `public <handle>`, `user <handle> <account>`, `acts <requester> <account>`. */
  readonly rules: ReadonlySet<string>
  readonly requested: ReadonlySet<RequestId>
  readonly fulfilled: ReadonlySet<RequestId>
}

export type Change =
  | { readonly type: "grant"; readonly rule: string }
  | { readonly type: "revoke"; readonly rule: string }
  | { readonly type: "request"; readonly id: RequestId }
  | { readonly type: "fulfil"; readonly id: RequestId }

interface Known {
  readonly id: RequestId
  readonly request: DecryptionRequest
}

const ruleFor = ({ kind, account }: DecryptionRequest, handle: Hex) => (kind === "public" ? `public ${handle}` : `user ${handle} ${account}`)

/** DENIAL_* of the contract: 0 none, 4 not public, 5 account not allowed, 6 not delegated. */
export const denialAt = ({ rules }: Block, request: DecryptionRequest): number => {
  const { kind, requester, account, handles } = request
  if (kind === "user" && requester !== account && !rules.has(`acts ${requester} ${account}`)) return 6
  if (handles.every((handle) => rules.has(ruleFor(request, handle)))) return 0
  return kind === "public" ? 4 : 5
}

export const statusAt = ({ requested, fulfilled }: Block, id: RequestId): number => (fulfilled.has(id) ? 2 : requested.has(id) ? 1 : 0)

const ancestor = (block: Block, depth: number): Block => (depth === 0 || block.parent === undefined ? block : ancestor(block.parent, depth - 1))

export class PermissionChain {
  /** Every method that was asked, and `eth_call` by what it was about. */
  readonly asked: Array<string> = []
  readonly #byHash = new Map<Hex, Block>()
  readonly #known: ReadonlyMap<string, Known>
  readonly #knowsPrograms: boolean
  #head: Block

  constructor(requests: ReadonlyArray<DecryptionRequest>, { knowsPrograms = true } = {}) {
    this.#known = new Map(requests.map((request) => [encodeInspect(request), { id: requestIdOf(request), request }]))
    this.#knowsPrograms = knowsPrograms
    this.#head = this.#on(undefined, [])
    for (let i = 0; i < FINALIZED_DEPTH; i++) this.mine([])
  }

  get head(): Block {
    return this.#head
  }

  at(hash: Hex): Block {
    const block = this.#byHash.get(hash)
    assert(block !== undefined, "somebody showed this block")
    return block
  }

  newest(policy: FinalityPolicy): Block {
    return ancestor(this.#head, policy.type === "latest" ? 0 : policy.type === "confirmations" ? policy.blocks : FINALIZED_DEPTH)
  }

  mine(changes: ReadonlyArray<Change>): void {
    this.#head = this.#on(this.#head, changes)
  }

  /** The newest blocks are gone with all that they changed; as many and one more stand in their place. */
  reorganise(depth: number, changes: ReadonlyArray<Change>): void {
    this.#head = this.#on(ancestor(this.#head, depth), changes)
    for (let i = 0; i < depth; i++) this.mine([])
  }

  readonly rpc: Rpc = {
    chainId: 31_337n,
    witnesses: 1,
    together: (work: Effect.Effect<unknown>) => work,
    agreed: ({ ask }: { readonly ask: unknown }) => ask,
    block: (tag: BlockTag) => this.#answer("block", () => this.#standing(tag)?.header),
    call: (_to: Hex, data: string, at: BlockTag) =>
      this.#answer("inspect", () => {
        const known = this.#known.get(data)
        // Whoever looks for a fulfilment is told that it is not known yet.
        if (known === undefined) return `0x${word(0)}`
        assert(typeof at === "object" && "hash" in at, "the access list is asked at a recorded block")
        return this.#inspection(this.at(at.hash), known)
      }),
    ask: (_method: string, [{ data }, { blockHash }]: readonly [{ readonly data: string }, { readonly blockHash: Hex }]) =>
      Effect.flatMap(
        this.#answer("statuses", () => this.at(blockHash)),
        (block) =>
          this.#knowsPrograms
            ? Effect.succeed(`0x${[block.header.timestamp, ...idsIn(data).map((id) => statusAt(block, id))].map(word).join("")}`)
            : Effect.fail(new ChainUnavailable({ doing: "eth_call", cause: "missing to" }))
      )
  } as unknown as Rpc

  #answer<A>(what: string, look: () => A): Effect.Effect<A> {
    return Effect.suspend(() => {
      this.asked.push(what)
      return Effect.andThen(Effect.sleep(ANSWER_MS), Effect.sync(look))
    })
  }

  #standing(tag: BlockTag): Block | undefined {
    if (tag === "latest") return this.#head
    if (typeof tag === "string") return this.newest({ type: tag })
    if ("hash" in tag) return this.#byHash.get(tag.hash)
    const depth = this.#head.header.number - tag.number
    return depth < 0 ? undefined : ancestor(this.#head, depth)
  }

  /** As the ABI writes it; ethers' coder would take most of the time of these tests. No digests: nobody here looks at them. */
  #inspection(block: Block, { id, request }: Known): Hex {
    const denial = denialAt(block, request)
    const handles = request.handles.length
    const none = Array.from({ length: handles }, () => 0)
    const head = [32, BigInt(id), statusAt(block, id), block.header.timestamp, denial === 0 ? 1 : 0, denial]
    return `0x${[...head, 7 * 32, (8 + handles) * 32, handles, ...none, handles, ...none].map(word).join("")}`
  }

  #on(parent: Block | undefined, changes: ReadonlyArray<Change>): Block {
    const rules = new Set(parent?.rules)
    const requested = new Set(parent?.requested)
    const fulfilled = new Set(parent?.fulfilled)
    for (const change of changes) {
      if (change.type === "grant") rules.add(change.rule)
      else if (change.type === "revoke") rules.delete(change.rule)
      else if (change.type === "request") requested.add(change.id)
      else if (requested.has(change.id)) fulfilled.add(change.id)
    }
    const number = (parent?.header.number ?? 0) + 1
    const hash: Hex = `0x${word(this.#byHash.size + 1)}`
    const parentHash: Hex = parent?.header.hash ?? `0x${word(0)}`
    const header: BlockHeader = { number, hash, parentHash, timestamp: number * BLOCK_SECONDS, logsBloom: "0x", baseFeePerGas: 0n }
    const block = { header, parent, rules, requested, fulfilled }
    this.#byHash.set(hash, block)
    return block
  }
}

const word = (value: number | bigint): string => value.toString(16).padStart(64, "0")

/** What was the newest final block when. */
export const finalBlocks = (chain: PermissionChain, policy: FinalityPolicy) => {
  const seen: Array<{ readonly sinceMs: number; readonly block: Block }> = []
  return {
    note: Effect.map(Clock.currentTimeMillis, (sinceMs) => void seen.push({ sinceMs, block: chain.newest(policy) })),
    /** Those that were it at some moment between the two. */
    between: (fromMs: number, toMs: number) =>
      seen.filter(({ sinceMs }, index) => sinceMs <= toMs && (seen[index + 1]?.sinceMs ?? Number.POSITIVE_INFINITY) >= fromMs).map(({ block }) => block)
  }
}
