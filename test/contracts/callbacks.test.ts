import { randomBytes } from "node:crypto"
import { Contract, ContractFactory, type TransactionReceipt } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { lower, type Hex } from "../../src/domain/hex.ts"
import * as consumerArtifact from "./generated/MisbehavingConsumer.ts"
import { refusalOf } from "./reverts.ts"
import { randomHex, resultOf, startWorld, type Attested, type TestResponse, type World } from "./world.ts"

/** As the contract numbers them. */
const MODE = {
  record: 0,
  burnGas: 1,
  revert: 2,
  returnBomb: 3,
  revertBomb: 4,
  reenter: 5,
  invalid: 6,
  frugalWhenEstimated: 7
} as const
const CALLBACK_GAS = 300_000

const fulfilCall = (of: Attested, response: TestResponse): [object, Hex, TestResponse, ReadonlyArray<Hex>] => [
  of.root,
  of.attestation,
  response,
  of.proofs[0]!
]

describe("DecryptionGateway: callbacks", () => {
  let world: World
  let consumer: Contract
  beforeAll(async () => {
    world = await startWorld("quorum")
    const factory = new ContractFactory(consumerArtifact.abi, consumerArtifact.bytecode, world.chain.account(0))
    const deployed = await factory.deploy(world.deployment.addresses.decryptionGateway)
    consumer = (await deployed.waitForDeployment()) as Contract
  })
  afterAll(() => world.chain.stop())

  const read = (name: string) => consumer.getFunction(name)()
  const behave = (mode: keyof typeof MODE, reentry = "0x") => world.chain.mined(consumer.getFunction("set")(MODE[mode], reentry))
  const asked = async (callbackGas: number = CALLBACK_GAS): Promise<TestResponse> => {
    const [handle, deadline, salt] = [await world.registered(), (await world.now()) + 3_600, randomHex(32)]
    const receipt = await world.chain.mined(consumer.getFunction("ask")([handle], deadline, callbackGas, salt))
    return { requestId: lower(receipt.logs[0]!.topics[1]!), result: resultOf(randomBytes(32)) }
  }
  const fulfil = async (response: TestResponse, overrides: object = {}): Promise<TransactionReceipt> =>
    world.chain.mined(world.gateway.getFunction("fulfil")(...fulfilCall(await world.attested([response]), response), overrides))
  const events = (receipt: TransactionReceipt) => receipt.logs.map((log) => world.gateway.interface.parseLog(log)?.name)

  test("hands the consumer its request's id and result", async () => {
    await behave("record")
    const response = await asked()
    const calls = await read("calls")
    expect(events(await fulfil(response))).toEqual(["DecryptionFulfilled"])
    expect(await read("calls")).toBe(calls + 1n)
    expect([await read("lastRequestId"), await read("lastResult")]).toEqual([response.requestId, response.result])
  })

  test("calls nobody who asked for no callback", async () => {
    await behave("record")
    const response = await asked(0)
    const calls = await read("calls")
    await fulfil(response)
    expect(await read("calls")).toBe(calls)
  })

  test("calls once, however often the result is brought", async () => {
    await behave("record")
    const response = await asked()
    const calls = await read("calls")
    await fulfil(response)
    await fulfil(response)
    expect(await read("calls")).toBe(calls + 1n)
  })

  test.each(["burnGas", "revert", "invalid", "returnBomb", "revertBomb"] as const)(
    "fulfils a request whose callback goes wrong: %s",
    async (mode) => {
      await behave(mode)
      const response = await asked()
      const receipt = await fulfil(response, { gasLimit: 2_000_000 })
      // A return bomb succeeds: its 200,000 bytes are simply not fetched.
      const expected = mode === "returnBomb" ? ["DecryptionFulfilled"] : ["DecryptionFulfilled", "CallbackFailed"]
      expect(events(receipt)).toEqual(expected)
      expect(await world.gateway.getFunction("statusOf")(response.requestId)).toBe(2n)
      expect(receipt.gasUsed).toBeLessThan(BigInt(CALLBACK_GAS) + 120_000n)
    }
  )

  test("lets one bad callback of a batch hurt nobody else", async () => {
    await behave("burnGas")
    const [bad, quiet] = [await asked(), await asked(0)]
    const plain = { requestId: await world.requested(), result: resultOf(randomBytes(32)) }
    const responses = [bad, quiet, plain]
    const of = await world.attested(responses)
    const sent = world.gateway.getFunction("fulfilBatch")(of.root, of.attestation, responses, { gasLimit: 3_000_000 })
    const receipt = await world.chain.mined(sent)
    expect(events(receipt)).toEqual(["DecryptionFulfilled", "DecryptionFulfilled", "DecryptionFulfilled", "CallbackFailed"])
  })

  test("cannot undo a batch by using more gas than when it was estimated", async () => {
    await behave("frugalWhenEstimated")
    const responses = [await asked(), await asked(), { requestId: await world.requested(), result: resultOf(randomBytes(32)) }]
    const of = await world.attested(responses)
    const data = world.gateway.interface.encodeFunctionData("fulfilBatch", [of.root, of.attestation, responses])
    const estimate = await world.chain.rpc("eth_estimateGas", { from: world.chain.address(0), to: world.gateway.target, data })
    const gasLimit = (BigInt(String(estimate)) * 125n) / 100n // what a lane allows (sign-fulfilment.ts)
    const sent = world.gateway.getFunction("fulfilBatch")(of.root, of.attestation, responses, { gasLimit })
    const receipt = await world.chain.mined(sent)
    expect(receipt.status).toBe(1)
    expect(events(receipt).filter((name) => name === "CallbackFailed")).toHaveLength(2)
  })

  test("gains nothing from calling back in with its own result", async () => {
    const response = await asked()
    const of = await world.attested([response])
    await behave("reenter", world.gateway.interface.encodeFunctionData("fulfil", fulfilCall(of, response)))
    const calls = await read("calls")
    const sent = world.gateway.getFunction("fulfil")(...fulfilCall(of, response), { gasLimit: 2_000_000 })
    const receipt = await world.chain.mined(sent)
    expect(events(receipt)).toEqual(["DecryptionFulfilled", "FulfilmentSkipped"])
    expect([await read("calls"), await read("reentrySucceeded")]).toEqual([calls + 1n, true])
  })

  test("finds the whole batch fulfilled when it calls back in with it", async () => {
    const first = await asked()
    const second = await asked(0)
    const responses = [first, second]
    const of = await world.attested(responses)
    await behave("reenter", world.gateway.interface.encodeFunctionData("fulfilBatch", [of.root, of.attestation, responses]))
    const sent = world.gateway.getFunction("fulfilBatch")(of.root, of.attestation, responses, { gasLimit: 2_000_000 })
    expect(events(await world.chain.mined(sent))).toEqual([
      "DecryptionFulfilled",
      "DecryptionFulfilled",
      "FulfilmentSkipped",
      "FulfilmentSkipped"
    ])
  })

  test("never starves a callback: with too little gas the whole transaction reverts", async () => {
    await behave("record")
    const response = await asked()
    const of = await world.attested([response])
    const call = world.gateway.getFunction("fulfil")
    const needed = await call.estimateGas(...fulfilCall(of, response))
    expect(needed).toBeGreaterThan(BigInt(CALLBACK_GAS))
    const refused = await refusalOf(world.gateway, call.staticCall(...fulfilCall(of, response), { gasLimit: needed - 10_000n }))
    expect(refused).toEqual({ name: "NotEnoughGasForCallback", args: [response.requestId, BigInt(CALLBACK_GAS)] })
    expect(await world.gateway.getFunction("statusOf")(response.requestId)).toBe(1n)
  })

  test("gives a callback all the gas that its request named, at every gas limit that succeeds", async () => {
    await behave("record")
    const response = await asked()
    const of = await world.attested([response])
    const call = world.gateway.getFunction("fulfil")
    const snapshot = async () => world.chain.rpc("evm_snapshot")
    const needed = await call.estimateGas(...fulfilCall(of, response))
    let succeeded = 0
    for (let gasLimit = needed - 3_000n; gasLimit <= needed + 3_000n; gasLimit += 500n) {
      const before = await snapshot()
      const receipt = await world.chain.mined(call(...fulfilCall(of, response), { gasLimit }))
      if (receipt.status === 1) {
        succeeded += 1
        // What the call itself spends before `onDecrypted` looks at the gas: its dispatch and decoding.
        expect(await read("gasSeen")).toBeGreaterThan(BigInt(CALLBACK_GAS) - 1_000n)
      }
      await world.chain.rpc("evm_revert", before)
      world.chain.account(0).reset()
    }
    expect(succeeded).toBeGreaterThan(0)
  })

  test("an account without code may ask for a callback, and nothing happens", async () => {
    const response = { requestId: await world.requested({ callbackGas: 1 }), result: resultOf(randomBytes(32)) }
    expect(events(await fulfil(response))).toEqual(["DecryptionFulfilled"])
  })
})
