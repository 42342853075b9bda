/** One JSON-RPC endpoint of a chain. Every failure of the wire becomes `ChainUnavailable`; what the chain itself says comes back as data. */
import { Effect, Schema } from "effect"
import { FetchRequest, isError, JsonRpcProvider, Network } from "ethers"
import { lower, type Hex } from "../../domain/hex.ts"
import { ChainUnavailable, type BlockHead } from "../../journey/1-detected/request-log.port.ts"

/** An endpoint that has not answered by now is treated as down; the step is tried again. */
const RESPONSE_MS_MAX = 10_000
/** Calls made in the same turn of the event loop travel in one HTTP request. */
const CALLS_PER_REQUEST_MAX = 100

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
  /** Undefined when the endpoint has no such block. */
  readonly block: (tag: BlockTag) => Effect.Effect<BlockHeader | undefined, ChainUnavailable>
  /** eth_call at a block named by hash (EIP-1898), so that an endpoint that does not know it errs instead of answering about another. */
  readonly call: (to: Hex, data: string, at: BlockTag) => Effect.Effect<string, ChainUnavailable | CallReverted>
}

export const makeRpc = (url: string, chainId: bigint) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const request = new FetchRequest(url)
      request.timeout = RESPONSE_MS_MAX
      // Rate limits are answered by the step's own retry: ethers' silent one would hide them for minutes.
      request.setThrottleParams({ maxAttempts: 1 })
      return new JsonRpcProvider(request, Network.from(chainId), {
        staticNetwork: true,
        cacheTimeout: -1,
        batchMaxCount: CALLS_PER_REQUEST_MAX,
        batchStallTime: 0
      })
    }),
    (provider) => Effect.sync(() => provider.destroy())
  ).pipe(Effect.map((provider) => rpcOver(provider, chainId)))

const rpcOver = (provider: JsonRpcProvider, chainId: bigint): Rpc => {
  const send = (method: string, params: ReadonlyArray<unknown>) =>
    Effect.tryPromise({
      try: () => provider.send(method, [...params]) as Promise<unknown>,
      catch: (cause) => new ChainUnavailable({ doing: method, cause })
    })
  return {
    chainId,
    provider,
    send,
    block: (tag) => {
      const [method, at] =
        typeof tag === "string"
          ? ["eth_getBlockByNumber", tag]
          : "hash" in tag
            ? ["eth_getBlockByHash", tag.hash]
            : ["eth_getBlockByNumber", quantity(tag.number)]
      return Effect.map(send(method, [at, false]), (answer) => (answer === null ? undefined : headerOf(answer as RawBlock)))
    },
    call: (to, data, at) => {
      const block = typeof at === "string" ? at : "hash" in at ? { blockHash: at.hash } : quantity(at.number)
      return Effect.tryPromise({
        try: () => provider.send("eth_call", [{ to, data }, block]) as Promise<string>,
        catch: (cause) =>
          isError(cause, "CALL_EXCEPTION")
            ? new CallReverted({ data: cause.data ?? "0x" })
            : new ChainUnavailable({ doing: "eth_call", cause })
      })
    }
  }
}

interface RawBlock {
  readonly number: string
  readonly hash: string
  readonly parentHash: string
  readonly timestamp: string
  readonly logsBloom: string
  readonly baseFeePerGas?: string
}

const headerOf = (raw: RawBlock): BlockHeader => ({
  number: Number(raw.number),
  hash: lower(raw.hash),
  parentHash: lower(raw.parentHash),
  timestamp: Number(raw.timestamp),
  logsBloom: lower(raw.logsBloom),
  baseFeePerGas: BigInt(raw.baseFeePerGas ?? 0)
})

export const quantity = (value: number | bigint): Hex => `0x${value.toString(16)}`

/** The block a tag must have; its absence is the endpoint's fault. */
export const requireBlock = (rpc: Rpc, tag: BlockTag) =>
  Effect.flatMap(rpc.block(tag), (block) =>
    block === undefined
      ? Effect.fail(new ChainUnavailable({ doing: "eth_getBlockBy", cause: `no block ${JSON.stringify(tag)}` }))
      : Effect.succeed(block)
  )
