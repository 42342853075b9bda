import { AbiCoder, keccak256, sha256, toUtf8Bytes } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { refusalOf } from "./reverts.ts"
import { randomHex, startWorld, type World } from "./world.ts"

describe("CiphertextRegistry", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld("quorum")
  })
  afterAll(() => world.chain.stop())

  const location = "store://main/3f2a"
  const digest = sha256("0x01")
  const register = (...args: ReadonlyArray<unknown>) => world.registry.getFunction("register").staticCall(...args)

  test("derives the handle as the protocol says, for its owner alone", async () => {
    const salt = randomHex(32)
    const expected = (owner: string) =>
      keccak256(
        AbiCoder.defaultAbiCoder().encode(
          ["bytes32", "uint256", "address", "address", "bytes32"],
          [
            keccak256(toUtf8Bytes("portcullis/native/v1/handle")),
            world.chain.chainId,
            world.deployment.addresses.ciphertextRegistry,
            owner,
            salt
          ]
        )
      )
    expect(await register(salt, digest, 1, 1, [location])).toBe(expected(world.chain.address(0)))
    expect(await world.registry.getFunction("handleOf")(world.chain.address(1), salt)).toBe(expected(world.chain.address(1)))
  })

  test("returns what was registered, and says it in an event", async () => {
    const salt = randomHex(32)
    const locations = [location, "s3://x", `store://main/${"a".repeat(243)}`, "d"]
    const receipt = await world.chain.mined(world.registry.getFunction("register")(salt, digest, 4_294_967_295, 7, locations))
    const event = world.registry.interface.parseLog(receipt.logs[0]!)!
    const handle = await world.registry.getFunction("handleOf")(world.chain.address(0), salt)
    expect(event.name).toBe("CiphertextRegistered")
    expect([...event.args.slice(0, 5), [...event.args[5]]]).toEqual([
      handle,
      world.chain.address(0),
      digest,
      4_294_967_295n,
      7n,
      locations
    ])
    const record = await world.registry.getFunction("recordOf")(handle)
    expect([...record]).toEqual([world.chain.address(0), digest, 4_294_967_295n, 7n])
    expect([...(await world.registry.getFunction("locationsOf")(handle))]).toEqual(locations)
    expect(await world.registry.getFunction("epochOf")(handle)).toBe(7n)
    expect(await world.registry.getFunction("ownerOf")(handle)).toBe(world.chain.address(0))
  })

  test("never lets a registration be replaced", async () => {
    const salt = randomHex(32)
    await world.chain.mined(world.registry.getFunction("register")(salt, digest, 1, 1, [location]))
    const refusal = await refusalOf(world.registry, register(salt, sha256("0x02"), 1, 1, [location]))
    expect(refusal.name).toBe("AlreadyRegistered")
  })

  test("knows nothing of a handle nobody registered", async () => {
    const stranger = randomHex(32)
    const zero = `0x${"00".repeat(20)}`
    expect([...(await world.registry.getFunction("recordOf")(stranger))]).toEqual([zero, `0x${"00".repeat(32)}`, 0n, 0n])
    expect(await world.registry.getFunction("ownerOf")(stranger)).toBe(zero)
    const refusal = await refusalOf(world.registry, world.registry.getFunction("locationsOf")(stranger))
    expect(refusal).toEqual({ name: "UnknownHandle", args: [stranger] })
  })

  test.each([
    ["no digest", "EmptyField", [`0x${"00".repeat(32)}`, 1, 1, [location]]],
    ["no bytes", "EmptyField", [digest, 0, 1, [location]]],
    ["epoch 0", "EmptyField", [digest, 1, 0, [location]]],
    ["no location", "LocationCountOutOfRange", [digest, 1, 1, []]],
    ["five locations", "LocationCountOutOfRange", [digest, 1, 1, Array(5).fill(location)]],
    ["an empty location", "LocationLengthOutOfRange", [digest, 1, 1, [location, ""]]],
    ["a location of 257 bytes", "LocationLengthOutOfRange", [digest, 1, 1, ["x".repeat(257)]]]
  ])("refuses %s with %s", async (_, name, args) => {
    const refusal = await refusalOf(world.registry, register(randomHex(32), ...args))
    expect(refusal.name).toBe(name)
  })
})
