import { createServer, type AddressInfo } from "node:net"
import { once } from "node:events"
import { Effect, Exit, Scope } from "effect"
import { afterEach, expect, test } from "vitest"
import { startAnvil, type Anvil, type AnvilOptions } from "../../../src/adapters/embedded/anvil.ts"
import { startTestChain } from "../../support/anvil.ts"

const scopes: Array<Scope.Closeable> = []
afterEach(async () => {
  for (const scope of scopes.splice(0)) await Effect.runPromise(Scope.close(scope, Exit.void))
})

const start = async (options?: AnvilOptions): Promise<Anvil> => {
  const scope = await Effect.runPromise(Scope.make())
  scopes.push(scope)
  return Effect.runPromise(Scope.provide(startAnvil(options), scope))
}

const rpc = async (url: string, method: string, ...params: ReadonlyArray<unknown>): Promise<unknown> => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
  return ((await response.json()) as { readonly result: unknown }).result
}

const isRunning = (processId: number): boolean => {
  try {
    return process.kill(processId, 0)
  } catch {
    return false
  }
}

test("a chain answers as soon as it has been started, with the settings it was given", async () => {
  const anvil = await start({ chainId: 4_242, accounts: 3 })
  expect(anvil.chainId).toBe(4_242)
  expect(await rpc(anvil.url, "eth_accounts")).toHaveLength(3)
})

test("chains started at once do not get into each other's way", async () => {
  const chains = await Promise.all([start(), start(), start()])
  expect(new Set(chains.map((chain) => chain.port)).size).toBe(3)
  await rpc(chains[0]!.url, "evm_mine")
  expect(await Promise.all(chains.map((chain) => rpc(chain.url, "eth_blockNumber")))).toEqual(["0x1", "0x0", "0x0"])
})

test("a finalized block is two blocks behind the head", async () => {
  const { url } = await start()
  await rpc(url, "anvil_mine", "0x5")
  expect(await rpc(url, "eth_getBlockByNumber", "finalized", false)).toMatchObject({ number: "0x3" })
})

test("blocks come by themselves when a block time is given", async () => {
  const { url } = await start({ blockTimeSeconds: 0.05 })
  await expect.poll(() => rpc(url, "eth_blockNumber"), { timeout: 10_000 }).not.toBe("0x0")
})

test("tests do not wait for ever for a transaction that anvil has lost sight of", async () => {
  const chain = await startTestChain()
  // What anvil's own race leaves behind: queued behind nonce 0, which is used.
  await chain.rpc("anvil_setNonce", chain.address(3), "0x1")
  const used = await chain.rpc("anvil_dumpState")
  await chain.rpc("anvil_setNonce", chain.address(3), "0x0")
  const sent = chain.account(3).signer.sendTransaction({ to: chain.address(4), value: 1n, nonce: 1, gasLimit: 21_000n })
  await sent
  await chain.rpc("anvil_loadState", used)
  expect(await chain.rpc("txpool_status")).toMatchObject({ queued: "0x1" })
  expect((await chain.mined(sent)).status).toBe(1)
  await chain.stop()
})

test("the process ends with the scope that started it", async () => {
  const { processId } = await start()
  expect(isRunning(processId)).toBe(true)
  await Effect.runPromise(Scope.close(scopes.pop()!, Exit.void))
  expect(isRunning(processId)).toBe(false)
})

test("says that the chain could not be started when its port is taken", async () => {
  const squatter = createServer().listen(0, "127.0.0.1")
  await once(squatter, "listening")
  const { port } = squatter.address() as AddressInfo
  // Whoever connects is hung up on, so that the squatter is not taken for a chain.
  squatter.on("connection", (socket) => socket.destroy())
  const failure = await Effect.runPromise(Effect.flip(Effect.scoped(startAnvil({ port }))))
  squatter.close()
  expect(failure).toMatchObject({ _tag: "AnvilNotStarted", reason: "exited", fate: "halt" })
})
