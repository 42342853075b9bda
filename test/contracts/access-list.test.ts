import type { Contract } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { refusalOf } from "./reverts.ts"
import { randomHex, startWorld, type World } from "./world.ts"

describe("AccessList", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld("quorum")
  })
  afterAll(() => world.chain.stop())

  const ask = (name: string, ...args: ReadonlyArray<unknown>) => world.list.getFunction(name)(...args)
  /** Sends as an account and returns the events' names. */
  const send = async (as: number, name: string, ...args: ReadonlyArray<unknown>) => {
    const contract = world.list.connect(world.chain.account(as)) as Contract
    const receipt = await world.chain.mined(contract.getFunction(name)(...args))
    return receipt.logs.map((log) => world.list.interface.parseLog(log)!.name)
  }
  const later = async (seconds: number) => {
    // Not evm_increaseTime: the chain's clock goes on with the machine's, and a second may end before the block is mined.
    await world.chain.rpc("evm_setNextBlockTimestamp", (await world.now()) + seconds)
    await world.chain.rpc("evm_mine")
  }

  test("allows the owner from the start and nobody else", async () => {
    const handle = await world.registered()
    expect(await ask("isAllowed", handle, world.chain.address(0))).toBe(true)
    expect(await ask("isAllowed", handle, world.chain.address(1))).toBe(false)
    expect(await ask("isAllowedForDecryption", handle)).toBe(false)
  })

  test("allows and revokes an account, saying so", async () => {
    const handle = await world.registered()
    expect(await send(0, "allow", handle, world.chain.address(1))).toEqual(["Allowed"])
    expect(await ask("isAllowed", handle, world.chain.address(1))).toBe(true)
    expect(await send(0, "revoke", handle, world.chain.address(1))).toEqual(["Revoked"])
    expect(await ask("isAllowed", handle, world.chain.address(1))).toBe(false)
  })

  test("keeps the owner allowed through a revocation", async () => {
    const handle = await world.registered()
    await send(0, "revoke", handle, world.chain.address(0))
    expect(await ask("isAllowed", handle, world.chain.address(0))).toBe(true)
  })

  test("opens a handle to public decryption and closes it again", async () => {
    const handle = await world.registered()
    expect(await send(0, "allowForDecryption", handle)).toEqual(["AllowedForDecryption"])
    expect(await ask("isAllowedForDecryption", handle)).toBe(true)
    expect(await send(0, "revokeForDecryption", handle)).toEqual(["RevokedForDecryption"])
    expect(await ask("isAllowedForDecryption", handle)).toBe(false)
  })

  test.each(["allow", "revoke", "allowForDecryption", "revokeForDecryption"])("lets only the owner %s", async (name) => {
    const handle = await world.registered()
    const other = world.list.connect(world.chain.account(1)) as Contract
    const args = name.endsWith("ForDecryption") ? [handle] : [handle, world.chain.address(1)]
    const refusal = await refusalOf(world.list, other.getFunction(name).staticCall(...args))
    expect(refusal).toEqual({ name: "NotOwner", args: [handle, world.chain.address(1)] })
  })

  test("takes nobody for the owner of a handle that is not registered", async () => {
    const stranger = randomHex(32)
    const refusal = await refusalOf(world.list, world.list.getFunction("allowForDecryption").staticCall(stranger))
    expect(refusal.name).toBe("NotOwner")
    expect(await ask("isAllowed", stranger, `0x${"00".repeat(20)}`)).toBe(false)
  })

  test("lets a delegate act through the last second of its term", async () => {
    const [account, delegate] = [world.chain.address(2), world.chain.address(3)]
    expect(await ask("mayAct", account, account)).toBe(true)
    expect(await ask("mayAct", delegate, account)).toBe(false)
    const expiry = (await world.now()) + 100
    expect(await send(2, "delegate", delegate, expiry)).toEqual(["Delegated"])
    expect(await ask("mayAct", delegate, account)).toBe(true)
    expect(await ask("mayAct", account, delegate)).toBe(false)
    await later(expiry - (await world.now()))
    expect(await world.now()).toBe(expiry)
    expect(await ask("mayAct", delegate, account)).toBe(true)
    await later(1)
    expect(await ask("mayAct", delegate, account)).toBe(false)
  })

  test("takes a delegation back at once", async () => {
    const [account, delegate] = [world.chain.address(4), world.chain.address(5)]
    await send(4, "delegate", delegate, (await world.now()) + 1_000)
    expect(await send(4, "revokeDelegation", delegate)).toEqual(["DelegationRevoked"])
    expect(await ask("mayAct", delegate, account)).toBe(false)
    expect(await ask("delegationExpiry", account, delegate)).toBe(0n)
  })

  test("refuses a delegation to oneself, to nobody, or into the past", async () => {
    const delegate = world.list.getFunction("delegate")
    const soon = (await world.now()) + 100
    const names = []
    for (const args of [
      [world.chain.address(0), soon],
      [`0x${"00".repeat(20)}`, soon],
      [world.chain.address(1), 1]
    ]) {
      names.push((await refusalOf(world.list, delegate.staticCall(...args))).name)
    }
    expect(names).toEqual(["InvalidAccount", "InvalidAccount", "ExpiryInThePast"])
  })

  test("never lets anybody act for the zero address", async () => {
    expect(await ask("mayAct", `0x${"00".repeat(20)}`, `0x${"00".repeat(20)}`)).toBe(false)
  })
})
