/**
 * The chain as JSON-RPC, whether one endpoint answers or several do (endpoint-pool.ts). Every failure of the wire is
 * `ChainUnavailable`; what the chain says comes back as data.
 */
import { isDeepStrictEqual } from "node:util"
import { Effect, Schema } from "effect"
import { FetchRequest, isError, type JsonRpcProvider, Network } from "ethers"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable, type BlockHead } from "../../journey/1-detected/request-log.port.ts"
import type { CallPolicy } from "../../resilience/call-policy.ts"
import { guardsHere } from "../../resilience/guards.ts"
import type { Disagreement } from "../../telemetry/chain-endpoints.port.ts"
import { Block, Bytes, Quantity } from "./answers.ts"
import { BatchingProvider } from "./batching-provider.ts"
import { type Offered, OFFER, offerTo, type RawSend } from "./broadcast.ts"
import { guardedEndpoint } from "./guarded-endpoint.ts"
import { postWithin } from "./http-transport.ts"
import { unavailable } from "./unavailable.ts"

/** An endpoint that has not answered by now is treated as down; the step is tried again. */
const RESPONSE_MS_MAX = 10_000
/** Calls made in the same turn of the event loop travel in one HTTP request. */
const CALLS_PER_REQUEST_MAX = 100
/** The JSON-RPC error code of "execution reverted", in geth and everything that follows it. */
const REVERTED = 3

export type BlockTag = "latest" | "safe" | "finalized" | { readonly number: number } | { readonly hash: Hex }

export interface BlockHeader extends BlockHead {
  readonly logsBloom: Hex
  readonly baseFeePerGas: bigint
  /** Of the whole block: no transaction in it can have more. Missing where an endpoint does not say. */
  readonly gasLimit?: bigint | undefined
}

/** The contract reverted; `data` is its return data. */
export class CallReverted extends Schema.TaggedError<CallReverted>()("CallReverted", { data: Schema.String }) {}

/** What two endpoints' answers come to. `isProvisional`: one of them knows of nothing, so that others are asked before it is believed. */
export interface Settled<A> {
  readonly agreed: A
  readonly isProvisional?: true
}

/** Undefined when two answers to one question contradict each other. */
export type Settle<A> = (one: A, other: A) => Settled<A> | undefined

export interface Question<A, R> {
  /** Named in errors and counted when endpoints disagree about it. */
  readonly about: Disagreement
  readonly ask: Effect.Effect<A, ChainUnavailable, R>
  readonly settle: Settle<A>
}

export interface Rpc {
  readonly chainId: bigint
  /** Any method; the answer is not checked. */
  readonly send: (method: string, params: ReadonlyArray<unknown>) => Effect.Effect<unknown, ChainUnavailable>
  /** Any method whose answer has this form. An answer that has not is the endpoint's failure. */
  readonly ask: <A>(method: string, params: ReadonlyArray<unknown>, form: Schema.Decoder<A>) => Effect.Effect<A, ChainUnavailable>
  /** Undefined when the endpoint has no such block. */
  readonly block: (tag: BlockTag) => Effect.Effect<BlockHeader | undefined, ChainUnavailable>
  /** eth_call. A block is best named by hash (EIP-1898): whoever does not know it errs instead of answering about another. */
  readonly call: (to: Hex, data: string, at: BlockTag) => Effect.Effect<Hex, ChainUnavailable | CallReverted>
  /** Gas that this transaction needs at the latest block. */
  readonly estimate: (tx: Readonly<Record<string, string>>) => Effect.Effect<bigint, ChainUnavailable | CallReverted>
  /** Offers signed bytes to every endpoint that is well. */
  readonly broadcast: (rawTx: Hex) => Offered
  /** Everything that is asked within comes from one endpoint, and all of it from the next when that one fails. */
  readonly together: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The same, beginning with another endpoint than the preferred one, where there is one. */
  readonly elsewhere: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** An answer that as many endpoints give as the operator demands; everything within it comes from one endpoint at a time. */
  readonly agreed: <A, R>(question: Question<A, R>) => Effect.Effect<A, ChainUnavailable, R>
  /** How many have to give the same answer. */
  readonly witnesses: 1 | 2
}

/** One endpoint, for whoever needs ethers' own interface to it. */
export interface EndpointRpc extends Rpc {
  readonly provider: JsonRpcProvider
}

export interface RpcOptions {
  /** From the first byte sent to the last byte received. */
  readonly responseMsMax?: number
  /** What its guards call it; its host unless given. */
  readonly name?: string
  /** When an endpoint that fails is left alone, and for how long. */
  readonly policy?: CallPolicy
}

export const makeRpc = (url: string, chainId: bigint, { responseMsMax = RESPONSE_MS_MAX, name = new URL(url).host, policy }: RpcOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const request = new FetchRequest(url)
      // Not ethers' own way of sending: that would answer rate limits by a silent retry, for minutes. Ours belongs to the step.
      return new BatchingProvider(request, postWithin(responseMsMax), Network.from(chainId), {
        staticNetwork: true,
        cacheTimeout: -1,
        batchMaxCount: CALLS_PER_REQUEST_MAX,
        batchStallTime: 0
      })
    }),
    (provider) => Effect.sync(() => provider.destroy())
  ).pipe(
    Effect.zipWith(guardsHere, (provider, guards) => {
      const isVital = (method: string) => method === OFFER
      return rpcOver(provider, chainId, guardedEndpoint(guards, { name, responseMsMax, isVital, ...(policy === undefined ? {} : { policy }) }))
    })
  )

const rpcOver = (provider: JsonRpcProvider, chainId: bigint, guarded: ReturnType<typeof guardedEndpoint>): EndpointRpc => {
  const attempt = <E>(method: string, params: ReadonlyArray<unknown>, failure: (cause: unknown) => E) =>
    guarded(method, () => provider.send(method, [...params]) as Promise<unknown>, failure)
  const raw: RawSend = (method, params) => attempt(method, params, (cause) => cause)
  const send: Rpc["send"] = (method, params) => attempt(method, params, (cause) => unavailable(method, cause))
  const ask: Rpc["ask"] = (method, params, form) => Effect.flatMap(send(method, params), formed(method, form))
  return {
    chainId,
    provider,
    witnesses: 1,
    send,
    ask,
    together: (work) => work,
    elsewhere: (work) => work,
    agreed: (question) => question.ask,
    broadcast: (rawTx) => offerTo(raw, rawTx),
    block: (tag) => {
      const [method, at] = questionFor(tag)
      return Effect.flatMap(ask(method, [at, false], Schema.NullOr(Block)), (block) => {
        if (block === null) return Effect.succeed(undefined)
        if (isAt(block, tag)) return Effect.succeed({ ...block, baseFeePerGas: block.baseFeePerGas ?? 0n })
        return Effect.fail(new ChainUnavailable({ doing: method, cause: `asked for ${at}, answered with block ${block.number}` }))
      })
    },
    call: (to, data, at) => {
      const block = typeof at === "string" ? at : "hash" in at ? { blockHash: at.hash } : quantity(at.number)
      return Effect.flatMap(
        attempt("eth_call", [{ to, data }, block], (cause) => reverted(cause) ?? unavailable("eth_call", cause)),
        formed("eth_call", Bytes)
      )
    },
    estimate: (tx) =>
      Effect.flatMap(
        attempt("eth_estimateGas", [tx], (cause) => reverted(cause) ?? tooMuchGas(cause) ?? unavailable("eth_estimateGas", cause)),
        formed("eth_estimateGas", Quantity)
      )
  }
}

const formed =
  <A>(method: string, form: Schema.Decoder<A>) =>
  (answer: unknown): Effect.Effect<A, ChainUnavailable> =>
    Effect.mapError(
      Schema.decodeUnknownEffect(form)(answer),
      ({ message }) => new ChainUnavailable({ doing: method, cause: `not an answer: ${message}` })
    )

/**
 * Only what certainly is a revert. ethers calls every error of eth_call and eth_estimateGas a CALL_EXCEPTION, also "rate limited"
 * and "block not found", and a chain that could not be asked must never look like a chain that said no.
 */
const reverted = (cause: unknown): CallReverted | undefined => {
  if (!isError(cause, "CALL_EXCEPTION")) return undefined
  const said = (cause.info as { readonly error?: { readonly code?: unknown } } | undefined)?.error
  return cause.data !== null || said?.code === REVERTED ? new CallReverted({ data: cause.data ?? "0x" }) : undefined
}

/** geth's and anvil's sentences for what no block could hold; there is no code for it. As certain as a revert: the endpoint has tried. */
const tooMuchGas = (cause: unknown): CallReverted | undefined => {
  const said = isError(cause, "CALL_EXCEPTION") ? (cause.info as { readonly error?: { readonly message?: unknown } } | undefined)?.error?.message : undefined
  return typeof said === "string" && /gas required exceeds|out of gas|intrinsic gas too high/i.test(said) ? new CallReverted({ data: "0x" }) : undefined
}

const questionFor = (tag: BlockTag): readonly [method: string, at: string] =>
  typeof tag === "string"
    ? ["eth_getBlockByNumber", tag]
    : "hash" in tag
      ? ["eth_getBlockByHash", tag.hash]
      : ["eth_getBlockByNumber", quantity(tag.number)]

const isAt = (block: BlockHead, tag: BlockTag): boolean =>
  typeof tag === "string" || ("hash" in tag ? block.hash === tag.hash : block.number === tag.number)

export const quantity = (value: number | bigint): Hex => `0x${value.toString(16)}`

/** The block a tag must have; its absence is the endpoint's fault. */
export const requireBlock = (rpc: Rpc, tag: BlockTag) =>
  Effect.flatMap(rpc.block(tag), (block) =>
    block === undefined
      ? Effect.fail(new ChainUnavailable({ doing: "eth_getBlockBy", cause: `no block ${JSON.stringify(tag)}` }))
      : Effect.succeed(block)
  )

/** The same block, or, as long as nobody else can be asked, none where one of the two has none yet. */
export const sameBlock = <B extends BlockHead>(one: B | undefined, other: B | undefined): Settled<B | undefined> | undefined => {
  if (one === undefined && other === undefined) return { agreed: undefined }
  if (one === undefined || other === undefined) return { agreed: undefined, isProvisional: true }
  const isSame = one.hash === other.hash && one.parentHash === other.parentHash && one.timestamp === other.timestamp
  return isSame ? { agreed: one } : undefined
}

/** For answers that are the same or are not. */
export const identical = <A>(one: A, other: A): { readonly agreed: A } | undefined => (isDeepStrictEqual(one, other) ? { agreed: one } : undefined)
