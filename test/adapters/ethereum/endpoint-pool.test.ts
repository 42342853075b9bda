/**
 * Several endpoints of one chain, some of which are dead, late, overloaded, of another chain, or liars: questions are answered as
 * long as one of them is well, and where two have to agree no lie is believed.
 */
import { Effect, Exit, Result, Scope } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { accessListLayer } from "../../../src/adapters/ethereum/access-list.layer.ts"
import { makeEndpointPool, type EndpointPool, type PoolOptions } from "../../../src/adapters/ethereum/endpoint-pool.ts"
import { gatewayInterface } from "../../../src/adapters/ethereum/inspection.ts"
import { requestLogLayer } from "../../../src/adapters/ethereum/request-log.layer.ts"
import { resultContractLayer } from "../../../src/adapters/ethereum/result-contract.layer.ts"
import { RequestLog } from "../../../src/journey/1-detected/request-log.port.ts"
import { AccessList } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import { ResultContract } from "../../../src/journey/6-submitted/result-contract.port.ts"
import { eventually } from "../../support/eventually.ts"
import { type Fault, type RpcProxy, startRpcProxy } from "../../support/rpc-proxy.ts"
import { EthereumWorld } from "./ethereum-world.ts"
import { LANE, stage, type Staged } from "./questions.ts"

const NEXT_AFTER_MS = 300
const LOOK_EVERY_MS = 50

let world: EthereumWorld
let staged: Staged
let proxies: ReadonlyArray<RpcProxy>
let scope: Scope.Closeable

beforeAll(async () => {
  world = await EthereumWorld.start()
  staged = await stage(world)
  proxies = await Promise.all([1, 2, 3].map(() => startRpcProxy(world.world.chain.url)))
  scope = await Effect.runPromise(Scope.make())
})
afterEach(async () => {
  for (const proxy of proxies) proxy.misbehave()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  scope = await Effect.runPromise(Scope.make())
})
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()))
  await world.stop()
})

const pool = (count: number, options: Partial<PoolOptions> = {}): Promise<EndpointPool> => {
  const urls = proxies.slice(0, count).map(({ url }) => url)
  const all = { agreement: 1, lagBlocksMax: 2, lookEveryMs: LOOK_EVERY_MS, nextAfterMs: NEXT_AFTER_MS, ...options } as const
  return Effect.runPromise(Scope.provide(makeEndpointPool(urls, world.contracts.chainId, all), scope))
}
const states = async ({ view }: EndpointPool) => (await Effect.runPromise(view)).map(({ state }) => state)
const seen = (of: EndpointPool, ...expected: ReadonlyArray<string>) =>
  eventually(`endpoints are ${expected.join(", ")}`, async () => (await states(of)).join() === expected.join())
const blockOf = (twins: Staged["twins"]) => twins.sent.block.blockNumber
const logOf = (of: EndpointPool) => world.open(RequestLog, requestLogLayer(of.rpc, world.contracts))

const DEAD: Fault = { type: "closes", when: "before the answer" }
const LATE = { eth_getBlockByNumber: (block: { number: string } | null, [at]: ReadonlyArray<string>) => (at === "latest" && block ? { ...block, number: "0x1" } : block) }
const OF_ANOTHER_CHAIN: Fault = { type: "lies", about: { eth_chainId: () => "0x5" } }
/** Neither logs nor receipts know of a request: consistent, and wrong. */
const HIDES: Fault = {
  type: "lies",
  about: {
    eth_getLogs: () => [],
    eth_getBlockReceipts: (receipts: ReadonlyArray<object> | null) => receipts?.map((receipt) => ({ ...receipt, logs: [] })) ?? null
  }
}
/** Leaves one of two requests out of both. */
const HIDES_ONE: Fault = {
  type: "lies",
  about: {
    eth_getLogs: (logs: ReadonlyArray<object>) => logs.slice(1),
    eth_getBlockReceipts: (receipts: ReadonlyArray<{ logs: ReadonlyArray<object> }> | null) =>
      receipts?.map((receipt, index) => (index === 0 ? { ...receipt, logs: [] } : receipt)) ?? null
  }
}

describe("endpoints are seen as", () => {
  test.each<[string, Fault]>([
    ["unreachable", DEAD],
    ["unreachable", { type: "status", code: 429 }],
    ["unreachable", { type: "hangs" }],
    ["out-of-sync", { type: "lies", about: LATE }],
    ["wrong-chain", OF_ANOTHER_CHAIN],
    ["finality-missing", { type: "lies", about: { eth_getBlockByNumber: (block: object, [at]: ReadonlyArray<string>) => (at === "finalized" ? null : block) } }]
  ])("%s, and as alive again when they are", async (state, fault) => {
    proxies[0]!.misbehave(fault)
    const several = await pool(3)
    await seen(several, state, "alive", "alive")
    proxies[0]!.misbehave()
    if (state !== "unreachable") await seen(several, "alive", "alive", "alive")
  })
})

describe("questions go", () => {
  test("to the preferred endpoint while it is well", async () => {
    const several = await pool(3)
    await seen(several, "alive", "alive", "alive")
    for (const proxy of proxies) proxy.asked.length = 0
    await Effect.runPromise(several.rpc.call(world.contracts.decryptionGateway, "0x", "latest").pipe(Effect.ignore))
    expect(proxies.map(({ asked }) => asked.includes("eth_call"))).toEqual([true, false, false])
  })

  test.each<[string, Fault]>([
    ["is dead", DEAD],
    ["answers 429", { type: "status", code: 429 }],
    ["hangs", { type: "hangs" }],
    ["says garbage", { type: "says", text: "<html>" }],
    ["speaks for another chain", OF_ANOTHER_CHAIN]
  ])("to the next one when the first %s, and nobody notices", async (_how, fault) => {
    const several = await pool(2)
    if (fault === OF_ANOTHER_CHAIN) {
      proxies[0]!.misbehave(fault)
      await seen(several, "wrong-chain", "alive")
    } else proxies[0]!.misbehave(fault)
    const log = await logOf(several)
    expect((await Effect.runPromise(log.readBlock(blockOf(staged.twins))))?.requests).toMatchObject(staged.twins.made)
  })

  test("nowhere when all are dead, and the reason names no URL", async () => {
    const several = await pool(2)
    for (const proxy of proxies) proxy.misbehave(DEAD)
    const error = await Effect.runPromise(Effect.flip(several.rpc.block("latest")))
    expect(error._tag).toBe("ChainUnavailable")
    expect(`${error.message} ${JSON.stringify(error)} ${String(error.cause)} ${error.stack}`).not.toContain("an-api-key")
  })

  test("all to one endpoint when they belong together, and all to the next when that one fails on the way", async () => {
    const several = await pool(2)
    await seen(several, "alive", "alive")
    const { rpc } = several
    const both = rpc.together(Effect.all([rpc.send("eth_gasPrice", []), rpc.send("net_version", [])]))
    proxies[0]!.misbehave({ type: "errs", at: ["net_version"], with: { code: -32_000, message: "not here" } })
    for (const proxy of proxies) proxy.asked.length = 0
    await Effect.runPromise(both)
    const own = (index: number) => proxies[index]!.asked.filter((method) => method === "eth_gasPrice" || method === "net_version").toSorted()
    expect([own(0), own(1)]).toEqual([["eth_gasPrice", "net_version"], ["eth_gasPrice", "net_version"]])
  })

  test("to another endpoint than the preferred one where that is wished", async () => {
    const several = await pool(2)
    await seen(several, "alive", "alive")
    for (const proxy of proxies) proxy.asked.length = 0
    await Effect.runPromise(several.rpc.elsewhere(several.rpc.send("eth_gasPrice", [])))
    expect(proxies.slice(0, 2).map(({ asked }) => asked.includes("eth_gasPrice"))).toEqual([false, true])
  })
})

test("whether final blocks were taken back is asked of two endpoints, each by its own word", async () => {
  const several = await pool(2)
  await seen(several, "alive", "alive")
  const log = await logOf(several)
  const { number, hash } = await Effect.runPromise(log.finalized)
  expect(await Effect.runPromise(log.finalAt(number))).toMatchObject([{ number, hash }, { number, hash }])
  const late = (block: object) => ({ ...block, number: "0x0" })
  const lies = (block: object, [at]: ReadonlyArray<string>) => (at === "finalized" ? late(block) : block)
  proxies[0]!.misbehave({ type: "lies", about: { eth_getBlockByNumber: lies as never } })
  expect(await Effect.runPromise(log.finalAt(number))).toMatchObject([undefined, { number, hash }])
})

describe("signed bytes", () => {
  const offered = async (several: EndpointPool, nonce: number) => {
    const results = await world.open(ResultContract, resultContractLayer(several.rpc, world.contracts, [world.wallet(LANE)], { type: "latest" }))
    const fees = { maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 1n }
    const { rawTx } = await Effect.runPromise(results.sign(world.address(LANE), staged.batch, { nonce, gasLimit: 1_000_000n, fees }))
    for (const proxy of proxies) proxy.asked.length = 0
    return Effect.runPromise(Effect.result(results.broadcast(rawTx)))
  }

  test("are offered to every endpoint, and known already is accepted", async () => {
    const several = await pool(3)
    expect(Result.getOrThrow(await offered(several, 60))).toBe("accepted")
    await eventually("all have heard of it", () => proxies.every(({ asked }) => asked.includes("eth_sendRawTransaction")))
  })

  test.each<[string, Fault]>([
    ["hangs", { type: "hangs" }],
    ["is dead", DEAD],
    ["calls the nonce used", { type: "errs", at: ["eth_sendRawTransaction"], with: { code: -32_003, message: "nonce too low" } }]
  ])("are accepted when one endpoint takes them, though the first %s", async (_how, fault) => {
    const several = await pool(2)
    proxies[0]!.misbehave(fault)
    expect(Result.getOrThrow(await offered(several, 61))).toBe("accepted")
  })

  test("are not sent when nobody can be reached", async () => {
    const several = await pool(2)
    for (const proxy of proxies) proxy.misbehave(DEAD)
    const answer = await offered(several, 62)
    expect(Result.isFailure(answer) && answer.failure._tag).toBe("ChainUnavailable")
  })
})

describe("where two have to agree", () => {
  const disagreements: Array<string> = []
  const agreeing = async (count: number) => {
    disagreements.length = 0
    // Who disagrees is what these are about: nobody else is asked only because a busy machine is slow.
    const nextAfterMs = 30_000
    const several = await pool(count, { agreement: 2, nextAfterMs, onDisagreement: (about, numbers) => disagreements.push(`${about}: ${numbers.join()}`) })
    await seen(several, ...proxies.slice(0, count).map(() => "alive"))
    return several
  }

  test.each([["all requests", HIDES], ["one request of two", HIDES_ONE]])("an endpoint that leaves %s out of logs and receipts alike is not believed", async (_what, lie) => {
    const log = await logOf(await agreeing(2))
    proxies[0]!.misbehave(lie)
    const answer = await Effect.runPromise(Effect.result(log.readBlock(blockOf(staged.twins))))
    expect(Result.isFailure(answer) && answer.failure.cause).toMatchObject({ _tag: "EndpointsDisagree", about: "logs" })
    expect(disagreements).toEqual(["logs: 1,2"])
  })

  test("a third endpoint settles it", async () => {
    const log = await logOf(await agreeing(3))
    proxies[0]!.misbehave(HIDES_ONE)
    const block = await Effect.runPromise(log.readBlock(blockOf(staged.twins)))
    expect(block?.requests).toMatchObject(staged.twins.made)
    expect(disagreements).toEqual(["logs: 1"])
  })

  test("a block that one of them does not have yet is not there yet, and nobody lied", async () => {
    const log = await logOf(await agreeing(2))
    proxies[1]!.misbehave({ type: "lies", about: { eth_getBlockByNumber: () => null } })
    expect(await Effect.runPromise(log.readBlock(blockOf(staged.twins)))).toBeUndefined()
    expect(disagreements).toEqual([])
  })

  test("final is what both call final: the lower of the two", async () => {
    const log = await logOf(await agreeing(2))
    const honest = await Effect.runPromise(log.finalized)
    const ahead = (block: { number: string }) => ({ ...block, number: `0x${(Number(block.number) + 50).toString(16)}` })
    proxies[0]!.misbehave({ type: "lies", about: { eth_getBlockByNumber: (block: never, [at]: ReadonlyArray<string>) => (at === "finalized" ? ahead(block) : block) } })
    expect(await Effect.runPromise(log.finalized)).toEqual(honest)
  })

  test("neither a yes nor a no of the access list is believed from one of them", async () => {
    const several = await agreeing(2)
    /** A new list each time: a yes is remembered. */
    const ask = async () => {
      const list = await world.open(AccessList, accessListLayer(several.rpc, world.contracts, { type: "latest" }))
      return Effect.runPromise(Effect.result(list.permission(staged.open.id, staged.open.facts)))
    }
    const honest = Result.getOrThrow(await ask())
    expect(honest).toMatchObject({ type: "allowed" })
    const denied = (answer: string) => {
      const [said] = gatewayInterface.decodeFunctionResult("inspect", answer)
      return gatewayInterface.encodeFunctionResult("inspect", [{ ...said.toObject(), allowed: false, denial: 4 }])
    }
    for (const liar of [0, 1]) {
      proxies[liar]!.misbehave({ type: "lies", about: { eth_call: denied } })
      const answer = await ask()
      expect(Result.isFailure(answer) && answer.failure.cause).toMatchObject({ _tag: "EndpointsDisagree", about: "access-list" })
      proxies[liar]!.misbehave()
    }
  })

  test("no gas is believed that would be too little or too much, and no rejection that only one has seen", async () => {
    const several = await agreeing(3)
    const results = await world.open(ResultContract, resultContractLayer(several.rpc, world.contracts, [world.wallet(LANE)], { type: "latest" }))
    const ask = results.estimate(world.address(LANE), staged.batch)
    const honest = await Effect.runPromise(ask)
    for (const lie of ["0x5208", "0xffffffffffff"]) {
      proxies[0]!.misbehave({ type: "lies", about: { eth_estimateGas: () => lie } })
      expect(await Effect.runPromise(ask)).toBe(honest)
    }
    expect(disagreements).toEqual(["gas: 1", "gas: 1"])
  })

  test("one endpoint alone is not enough, and says so", async () => {
    const log = await logOf(await agreeing(2))
    proxies[1]!.misbehave(DEAD)
    const error = await Effect.runPromise(Effect.flip(log.readBlock(blockOf(staged.twins))))
    expect(String(error.cause)).toMatch(/^1 of 2 endpoints answered/)
  })
})
