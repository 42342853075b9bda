/** A JSON-RPC endpoint of the rig: the proxy of the tests, with the faults that chaos knows. The newest fault is the one that counts. */
import { startRpcProxy, type Answer, type Call, type Fault } from "../../test/support/rpc-proxy.ts"
import type { RpcFault, Undo } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"

const TAGS = ["latest", "safe", "finalized", "pending"]
const SEND = ["eth_sendRawTransaction"]

export interface RpcEndpoint {
  readonly port: number
  readonly misbehave: (fault: RpcFault) => Undo
  readonly close: () => Promise<void>
}

export const startRpcEndpoint = async (upstream: string, random: SeededRandom): Promise<RpcEndpoint> => {
  const proxy = await startRpcProxy(upstream)
  const faults: Array<RpcFault> = []
  proxy.misbehave(() => faultOf(faults.at(-1), random))
  return {
    port: Number(new URL(proxy.url).port),
    misbehave: (fault) => {
      faults.push(fault)
      return async () => void faults.splice(faults.indexOf(fault), 1)
    },
    close: proxy.close
  }
}

const faultOf = (fault: RpcFault | undefined, random: SeededRandom): Fault | undefined => {
  switch (fault?.type) {
    case undefined:
      return undefined
    case "rate-limit":
      return random.next() < fault.share ? { type: "status", code: 429, body: "slow down" } : undefined
    case "missing-logs":
      return { type: "lies", about: { eth_getLogs: (logs: never) => (random.next() < fault.share ? [] : logs) } }
    // The transaction was taken: only the answer is wrong.
    case "already-known":
      return { type: "errs", at: SEND, with: { code: -32_000, message: "already known" } }
    case "nonce-too-low":
      return { type: "errs", at: SEND, with: { code: -32_000, message: "nonce too low" } }
    case "stale":
      return { type: "serves", answer: (call, ask) => answerOfThePast(call, ask, fault.blocks) }
  }
}

type Ask = (method: string, params: ReadonlyArray<unknown>) => Promise<Answer>

/** As if the newest blocks had never been heard of. */
const answerOfThePast = async (call: Call, ask: Ask, blocks: number): Promise<Answer> => {
  const head = Math.max(0, Number((await ask("eth_blockNumber", [])).result) - blocks)
  const hex = `0x${head.toString(16)}`
  const isAhead = (block: unknown): boolean => typeof block === "string" && block.startsWith("0x") && block.length < 20 && Number(block) > head
  const answer = (result: unknown): Answer => ({ id: 0, result })
  if (call.method === "eth_blockNumber") return answer(hex)
  const params: ReadonlyArray<unknown> = call.params.map((given: unknown) => (TAGS.includes(String(given)) ? hex : given))
  if (call.method === "eth_getBlockByNumber") {
    const tag = String(call.params[0])
    // Final blocks stay final, however far behind the rest is.
    if (tag === "safe" || tag === "finalized") {
      const honest = await ask(call.method, call.params)
      return isAhead((honest.result as { readonly number?: unknown } | null)?.number) ? ask(call.method, params) : honest
    }
    return isAhead(params[0]) ? answer(null) : ask(call.method, params)
  }
  if (call.method === "eth_getLogs") {
    const filter = (call.params as ReadonlyArray<unknown>)[0] as { readonly blockHash?: string; readonly fromBlock?: string; readonly toBlock?: string }
    if (filter.blockHash === undefined) {
      if (isAhead(filter.fromBlock)) return answer([])
      return ask(call.method, [{ ...filter, toBlock: isAhead(filter.toBlock) || TAGS.includes(String(filter.toBlock)) ? hex : filter.toBlock }])
    }
    const block = (await ask("eth_getBlockByHash", [filter.blockHash, false])).result as { readonly number: string } | null
    return isAhead(block?.number) ? { id: 0, error: { code: -32_000, message: "unknown block" } } : ask(call.method, call.params)
  }
  const honest = await ask(call.method, params)
  const stands = honest.result as { readonly number?: unknown; readonly blockNumber?: unknown } | null
  if (call.method === "eth_getBlockByHash") return isAhead(stands?.number) ? answer(null) : honest
  if (call.method === "eth_getBlockReceipts") {
    const first = (honest.result as ReadonlyArray<{ readonly blockNumber: string }> | null)?.[0]
    return isAhead(first?.blockNumber) ? answer(null) : honest
  }
  if (/^eth_getTransaction(?:Receipt|ByHash)$/.test(call.method)) return isAhead(stands?.blockNumber) ? answer(null) : honest
  return honest
}
