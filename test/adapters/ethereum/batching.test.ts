/** Calls of one turn of the event loop travel together, many at a time, and each gets its own answer. */
import { Effect } from "effect"
import { Interface } from "ethers"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { abi } from "../../../src/adapters/ethereum/generated/CiphertextRegistry.ts"
import type { Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import { handleOf } from "../../../src/domain/handle.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import { randomHex } from "../../contracts/world.ts"
import { EthereumWorld } from "./ethereum-world.ts"

const registry = new Interface(abi)

let world: EthereumWorld
let rpc: Rpc
let posts: number

beforeAll(async () => {
  world = await EthereumWorld.start()
  rpc = await world.rpc()
})
beforeEach(() => {
  posts = world.proxy.posts()
})
afterAll(() => world.stop())

/** Every question has another answer. */
const questions = (count: number) =>
  Array.from({ length: count }, () => {
    const salt = randomHex(32)
    const { chainId, ciphertextRegistry } = world.contracts
    const owner = world.address(0)
    return {
      expected: handleOf({ chainId, registry: ciphertextRegistry, owner, salt }),
      answer: rpc.call(ciphertextRegistry, registry.encodeFunctionData("handleOf", [owner, salt]), "latest")
    }
  })

const askTogether = (asked: ReadonlyArray<{ readonly answer: Effect.Effect<Hex, unknown> }>) =>
  Effect.runPromise(Effect.all(asked.map(({ answer }) => answer), { concurrency: "unbounded" }))

test("a thousand calls at once take ten requests, and nobody gets another's answer", async () => {
  const asked = questions(1_000)
  expect(await askTogether(asked)).toEqual(asked.map(({ expected }) => expected))
  expect(world.proxy.posts() - posts).toBe(10)
})

test("calls that are made one after the other wait for nobody", async () => {
  for (const { expected, answer } of questions(5)) expect(await Effect.runPromise(answer)).toBe(expected)
  expect(world.proxy.posts() - posts).toBe(5)
})

test("calls of fibers that start together share a request, whatever each does before and after", async () => {
  const asked = questions(50)
  const fibers = asked.map(({ answer }) => ({ answer: Effect.map(Effect.andThen(Effect.void, answer), (said) => said) }))
  expect(await askTogether(fibers)).toEqual(asked.map(({ expected }) => expected))
  expect(world.proxy.posts() - posts).toBe(1)
})

test("one call that reverts spoils no other in its batch", async () => {
  const [before, after] = [questions(3), questions(3)]
  const unregistered = registry.encodeFunctionData("locationsOf", [randomHex(32)])
  const reverting = rpc.call(world.contracts.ciphertextRegistry, unregistered, "latest")
  const answers = await askTogether([
    ...before,
    { answer: Effect.map(Effect.flip(reverting), ({ _tag }) => _tag as Hex) },
    ...after
  ])
  expect(answers).toEqual([...before.map(({ expected }) => expected), "CallReverted", ...after.map(({ expected }) => expected)])
  expect(world.proxy.posts() - posts).toBe(1)
})
