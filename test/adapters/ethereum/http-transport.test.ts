/** The bounds of one exchange: a deadline for the whole of it and a size of what comes back. */
import { FetchRequest } from "ethers"
import { afterEach, beforeEach, expect, test } from "vitest"
import { postWithin } from "../../../src/adapters/ethereum/http-transport.ts"
import { eventually } from "../../support/eventually.ts"
import { startRpcProxy, type RpcProxy } from "../../support/rpc-proxy.ts"

const BYTES_MAX = 1_000_000

let endpoint: RpcProxy

beforeEach(async () => {
  endpoint = await startRpcProxy("http://127.0.0.1:1")
})
afterEach(() => endpoint.close())

const post = (responseMsMax: number) => {
  const request = new FetchRequest(endpoint.url)
  request.body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] })
  return postWithin(responseMsMax, BYTES_MAX)(request)
}

test("an answer up to the bound arrives whole", async () => {
  endpoint.misbehave({ type: "floods", bytes: BYTES_MAX })
  const { statusCode, body } = await post(5_000)
  expect([statusCode, body?.length]).toEqual([200, BYTES_MAX])
})

test("a larger one is refused, and its socket given up", async () => {
  endpoint.misbehave({ type: "floods", bytes: BYTES_MAX * 50 })
  await expect(post(5_000)).rejects.toMatchObject({ code: "BAD_DATA" })
  await eventually("the socket is gone", () => endpoint.openSockets() === 0)
})

test("an answer that drips is given up at the deadline, not after the last drop", async () => {
  endpoint.misbehave({ type: "drips", everyMs: 10 })
  const from = performance.now()
  await expect(post(200)).rejects.toMatchObject({ code: "TIMEOUT" })
  expect(performance.now() - from).toBeLessThan(1_500)
  await eventually("the socket is gone", () => endpoint.openSockets() === 0)
})
