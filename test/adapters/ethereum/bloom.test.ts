/** The filter against real blocks and against a second way of computing it: it never says no to what is inside. */
import { keccak256 } from "ethers"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { mayContain } from "../../../src/adapters/ethereum/bloom.ts"
import { toHex, type Hex } from "../../../src/domain/hex.ts"
import { EthereumWorld } from "./ethereum-world.ts"

const EMPTY: Hex = `0x${"00".repeat(256)}`

/** M3:2048 as the Yellow Paper (4.4.1) writes it, with one big number instead of bytes: bit i is 2^i. */
const bloomOf = (items: ReadonlyArray<Hex>): Hex => {
  let bits = 0n
  for (const item of items) {
    const hash = BigInt(keccak256(item))
    for (const pair of [15n, 14n, 13n]) bits |= 1n << ((hash >> (pair * 16n)) & 2047n)
  }
  return `0x${bits.toString(16).padStart(512, "0")}`
}

const item = fc.uint8Array({ minLength: 20, maxLength: 32 }).map(toHex)

test("whatever is in a filter may be in it", () => {
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 200 }), (items) => {
      const bloom = bloomOf(items)
      for (const inside of items) expect(mayContain(bloom, inside)).toBe(true)
    })
  )
})

test("nothing may be in an empty filter, anything may be in a full one, and upper case says the same", () => {
  fc.assert(
    fc.property(item, fc.array(item, { maxLength: 20 }), (asked, others) => {
      expect(mayContain(EMPTY, asked)).toBe(false)
      expect(mayContain(`0x${"ff".repeat(256)}`, asked)).toBe(true)
      const bloom = bloomOf(others)
      expect(mayContain(bloom, asked)).toBe((BigInt(bloom) & BigInt(bloomOf([asked]))) === BigInt(bloomOf([asked])))
      expect(mayContain(`0x${bloom.slice(2).toUpperCase()}`, asked)).toBe(mayContain(bloom, asked))
    })
  )
})

test("it rules out nearly everything that is not inside", () => {
  const inside = Array.from({ length: 50 }, (_, index) => keccak256(toHex(Buffer.from(`inside ${index}`))) as Hex)
  const bloom = bloomOf(inside)
  const outside = Array.from({ length: 2_000 }, (_, index) => keccak256(toHex(Buffer.from(`outside ${index}`))) as Hex)
  // 150 of 2048 bits: (150/2048)^3 = 0.04 %.
  expect(outside.filter((other) => mayContain(bloom, other)).length).toBeLessThan(10)
})

describe("on real blocks", () => {
  let world: EthereumWorld

  beforeAll(async () => {
    world = await EthereumWorld.start()
    const handle = await world.openHandle()
    const made = [await world.factsOf([handle]), await world.factsOf([handle]), await world.factsOf([handle])]
    await world.inOneBlock(made.map((asked) => () => world.ask(asked)))
    await world.fulfil(made[0]!.id)
  })
  afterAll(() => world.stop())

  test("every address and topic of every log is found in its block, and a stranger in none", async () => {
    const { chain } = world.world
    const { blockNumber } = await world.head()
    let found = 0
    for (let number = 0; number <= blockNumber; number += 1) {
      const at = `0x${number.toString(16)}`
      const block = (await chain.rpc("eth_getBlockByNumber", at, false)) as { readonly logsBloom: Hex }
      const receipts = (await chain.rpc("eth_getBlockReceipts", at)) as ReadonlyArray<{
        readonly logs: ReadonlyArray<{ readonly address: Hex; readonly topics: ReadonlyArray<Hex> }>
      }>
      const items = receipts.flatMap(({ logs }) => logs.flatMap(({ address, topics }) => [address, ...topics]))
      expect(block.logsBloom).toBe(bloomOf(items))
      for (const inside of items) expect(mayContain(block.logsBloom, inside)).toBe(true)
      found += items.length
    }
    expect(found).toBeGreaterThan(20)
  })
})
