/** One JSON-RPC endpoint of a chain. Every failure of the wire is `ChainUnavailable`; what the chain says comes back as data. */
import { Effect, Schema } from "effect"
import { FetchRequest, isError, type JsonRpcProvider, Network } from "ethers"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable, type BlockHead } from "../../journey/1-detected/request-log.port.ts"
import type { CallPolicy } from "../../resilience/call-policy.ts"
import { guardsHere } from "../../resilience/guards.ts"
import { Block, Bytes, Quantity } from "./answers.ts"
import { BatchingProvider } from "./batching-provider.ts"
import { guardedEndpoint } from "./guarded-endpoint.ts"
import { postWithin } from "./http-transport.ts"

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
}

/** The contract reverted; `data` is its return data. */
export class CallReverted extends Schema.TaggedError<CallReverted>()("CallReverted", { data: Schema.String }) {}

export interface Rpc {
  readonly chainId: bigint
  readonly provider: JsonRpcProvider
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
}

export interface RpcOptions {
  /** From the first byte sent to the last byte received. */
  readonly responseMsMax?: number
  /** When an endpoint that fails is left alone, and for how long. */
  readonly policy?: CallPolicy
}

export const makeRpc = (url: string, chainId: bigint, { responseMsMax = RESPONSE_MS_MAX, policy }: RpcOptions = {}) =>
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
    Effect.zipWith(guardsHere, (provider, guards) =>
      rpcOver(provider, chainId, guardedEndpoint(guards, { url, responseMsMax, ...(policy === undefined ? {} : { policy }) }))
    )
  )

const rpcOver = (provider: JsonRpcProvider, chainId: bigint, guarded: ReturnType<typeof guardedEndpoint>): Rpc => {
  const attempt = <E>(method: string, params: ReadonlyArray<unknown>, failure: (cause: unknown) => E) =>
    guarded(method, () => provider.send(method, [...params]) as Promise<unknown>, failure)
  const send: Rpc["send"] = (method, params) => attempt(method, params, (cause) => unavailable(method, cause))
  const ask: Rpc["ask"] = (method, params, form) => Effect.flatMap(send(method, params), formed(method, form))
  return {
    chainId,
    provider,
    send,
    ask,
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
        attempt("eth_estimateGas", [tx], (cause) => reverted(cause) ?? unavailable("eth_estimateGas", cause)),
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

/** ethers' long messages repeat the endpoint's URL, and with it whoever's API key is part of it. */
export const unavailable = (doing: string, cause: unknown): ChainUnavailable => {
  const { code, shortMessage, message, error, info } = cause as {
    readonly code?: string
    readonly shortMessage?: string
    readonly message?: string
    readonly error?: unknown
    readonly info?: { readonly error?: unknown }
  }
  const said = error ?? info?.error
  const words = [code, shortMessage ?? message, said === undefined ? undefined : JSON.stringify(said)]
  return new ChainUnavailable({ doing, cause: words.filter((word) => word !== undefined).join(": ") })
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
