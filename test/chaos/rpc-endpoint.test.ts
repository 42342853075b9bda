import { createServer } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { json } from "node:stream/consumers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { startRpcEndpoint, type RpcEndpoint } from "../../chaos/process/rpc-endpoint.ts"
import { seededRandom } from "../../chaos/seeded-random.ts"

const HEAD = 20

/** A chain of 20 blocks that says which block it was asked about. */
const chain = createServer(async (request, response) => {
  const { id, method, params } = (await json(request)) as { readonly id: number; readonly method: string; readonly params: ReadonlyArray<string> }
  const answers: Readonly<Record<string, unknown>> = {
    eth_blockNumber: `0x${HEAD.toString(16)}`,
    eth_getBlockByNumber: { number: params[0] === "latest" ? `0x${HEAD.toString(16)}` : params[0] === "finalized" ? "0x12" : params[0] },
    eth_getBlockByHash: { number: "0x13" },
    eth_getTransactionReceipt: { blockNumber: params[0] === "new" ? "0x14" : "0x2" },
    eth_getLogs: ["a log"],
    eth_sendRawTransaction: "0xhash",
    eth_call: params[1]
  }
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result: answers[method] }))
})

describe("an endpoint of the rig", () => {
  let endpoint: RpcEndpoint
  beforeAll(async () => {
    chain.listen(0, "127.0.0.1")
    await once(chain, "listening")
    endpoint = await startRpcEndpoint(`http://127.0.0.1:${(chain.address() as AddressInfo).port}`, seededRandom(1))
  })
  afterAll(async () => {
    await endpoint?.close()
    chain.close()
  })

  const ask = async (method: string, ...params: ReadonlyArray<unknown>) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method, params })
    const response = await fetch(`http://127.0.0.1:${endpoint.port}`, { method: "POST", body })
    if (response.status !== 200) return response.status
    const { result, error } = (await response.json()) as { readonly result?: unknown; readonly error?: { readonly message: string } }
    return error === undefined ? result : error.message
  }

  test("tells the truth when nothing is wrong with it", async () => {
    expect(await ask("eth_blockNumber")).toBe("0x14")
    expect(await ask("eth_getLogs", {})).toEqual(["a log"])
  })

  test("that is stale has not heard of the newest blocks, whatever it is asked", async () => {
    const heal = endpoint.misbehave({ type: "stale", blocks: 5 })
    expect(await ask("eth_blockNumber")).toBe("0xf")
    expect(await ask("eth_getBlockByNumber", "latest", false)).toEqual({ number: "0xf" })
    expect(await ask("eth_getBlockByNumber", "0x12", false)).toBeNull()
    expect(await ask("eth_getBlockByNumber", "finalized", false)).toEqual({ number: "0xf" })
    expect(await ask("eth_getBlockByHash", "0xabc", false)).toBeNull()
    expect(await ask("eth_getTransactionReceipt", "new")).toBeNull()
    expect(await ask("eth_getTransactionReceipt", "old")).toEqual({ blockNumber: "0x2" })
    expect(await ask("eth_getLogs", { blockHash: "0xabc" })).toBe("unknown block")
    expect(await ask("eth_call", {}, "latest")).toBe("0xf")
    await heal()
    expect(await ask("eth_blockNumber")).toBe("0x14")
  })

  test("leaves out logs, slows down its callers and denies transactions that it took", async () => {
    const expectUnder = async (fault: Parameters<RpcEndpoint["misbehave"]>[0], method: string, answer: unknown) => {
      const heal = endpoint.misbehave(fault)
      expect(await ask(method, "0x00")).toEqual(answer)
      await heal()
    }
    await expectUnder({ type: "missing-logs", share: 1 }, "eth_getLogs", [])
    await expectUnder({ type: "rate-limit", share: 1 }, "eth_blockNumber", 429)
    await expectUnder({ type: "already-known" }, "eth_sendRawTransaction", "already known")
    await expectUnder({ type: "nonce-too-low" }, "eth_sendRawTransaction", "nonce too low")
  })
})
