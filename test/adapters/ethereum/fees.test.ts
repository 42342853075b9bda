/** What a lane pays for gas: what the market wants, and never more than its operator would, whatever an endpoint says of the market. */
import { Effect } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { resultContractLayer } from "../../../src/adapters/ethereum/result-contract.layer.ts"
import { ResultContract } from "../../../src/journey/6-submitted/result-contract.port.ts"
import { EthereumWorld } from "./ethereum-world.ts"

const GWEI = 10n ** 9n
const FEE_MAX = 40n * GWEI
const ONE_ETHER = "0xde0b6b3a7640000"

describe("Fees", () => {
  let world: EthereumWorld
  beforeAll(async () => {
    world = await EthereumWorld.start()
  })
  afterEach(() => world.proxy.misbehave())
  afterAll(() => world.stop())

  const fees = async (feeMax?: bigint) => {
    const layer = resultContractLayer(await world.rpc(), world.contracts, [], { type: "latest" }, feeMax)
    return Effect.runPromise((await world.open(ResultContract, layer)).fees)
  }

  test("are those of the market when it is reasonable", async () => {
    const { maxFeePerGas, maxPriorityFeePerGas } = await fees(FEE_MAX)
    expect(maxPriorityFeePerGas).toBeGreaterThan(0n)
    expect(maxFeePerGas).toBeGreaterThanOrEqual(maxPriorityFeePerGas)
    expect(maxFeePerGas).toBeLessThan(FEE_MAX)
  })

  test("stay below the operator's limit when an endpoint asks for a tip of one ether", async () => {
    world.proxy.misbehave({ type: "lies", about: { eth_maxPriorityFeePerGas: () => ONE_ETHER } })
    expect(await fees(FEE_MAX)).toEqual({ maxFeePerGas: FEE_MAX, maxPriorityFeePerGas: FEE_MAX })
  })

  test("have a limit also when the operator named none", async () => {
    world.proxy.misbehave({ type: "lies", about: { eth_maxPriorityFeePerGas: () => ONE_ETHER } })
    expect(await fees()).toEqual({ maxFeePerGas: 500n * GWEI, maxPriorityFeePerGas: 500n * GWEI })
  })
})
