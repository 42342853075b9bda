import { Contract } from "ethers"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { committeeForChain } from "../../src/adapters/ethereum/deploy.ts"
import { lower, type Hex } from "../../src/domain/hex.ts"
import { requestIdOf, ZERO_ADDRESS, type DecryptionRequest } from "../../src/domain/request.ts"
import { refusalOf } from "./reverts.ts"
import { randomHex, startWorld, testCommittee, type World } from "./world.ts"

const TRANSPORT_KEY: Hex = `0x97${"11".repeat(47)}`
const DAY = 86_400

/** The contract's `Request`. */
const struct = (of: DecryptionRequest, kind = of.kind === "public" ? 1 : 2) => [
  kind,
  of.requester,
  of.account,
  of.epoch,
  of.deadline,
  of.callbackGas,
  of.handles,
  of.transportKey,
  of.salt
]

describe("DecryptionGateway: requests", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld("quorum")
  })
  afterAll(() => world.chain.stop())

  const ask = (name: string, ...args: ReadonlyArray<unknown>) => world.gateway.getFunction(name)(...args)
  const refusal = (name: string, ...args: ReadonlyArray<unknown>) =>
    refusalOf(world.gateway, world.gateway.getFunction(name).staticCall(...args))
  const registered = (count: number) => Promise.all(Array.from({ length: count }, () => world.registered()))
  const deadline = async (seconds = 3_600) => (await world.now()) + seconds

  const described = async (change: Partial<DecryptionRequest> = {}): Promise<DecryptionRequest> => ({
    chainId: BigInt(world.chain.chainId),
    gateway: world.deployment.addresses.decryptionGateway,
    kind: "public",
    requester: lower(world.chain.address(0)),
    account: ZERO_ADDRESS,
    epoch: 1,
    deadline: await deadline(),
    callbackGas: 0,
    salt: randomHex(32),
    handles: await registered(1),
    transportKey: "0x",
    ...change
  })
  const inspected = async (of: DecryptionRequest, kind?: number) => {
    const found = await ask("inspect", struct(of, kind))
    return { ...found.toObject(), digests: [...found.digests], sizes: [...found.sizes] }
  }
  const send = async (of: DecryptionRequest) => {
    const receipt = await world.chain.mined(
      of.kind === "public"
        ? ask("requestPublic", of.handles, of.deadline, of.callbackGas, of.salt)
        : ask("requestUser", of.handles, of.account, of.transportKey, of.deadline, of.salt)
    )
    return { receipt, event: world.gateway.interface.parseLog(receipt.logs[0]!)! }
  }

  test("gives a public request the id that its contents have off chain", async () => {
    const of = await described({ handles: await registered(32), callbackGas: 500_000 })
    const { event } = await send(of)
    const id = requestIdOf(of)
    expect(event.name).toBe("DecryptionRequested")
    expect(event.args.requestId).toBe(id)
    expect([...event.args.handles]).toEqual(of.handles)
    const { kind, epoch, deadline: until, callbackGas } = event.args
    expect([kind, epoch, until, callbackGas]).toEqual([1n, 1n, BigInt(of.deadline), 500_000n])
    expect([lower(event.args.requester), event.args.account, event.args.salt, event.args.transportKey]).toEqual([
      of.requester,
      ZERO_ADDRESS,
      of.salt,
      "0x"
    ])
    expect(await ask("statusOf", id)).toBe(1n)
    expect(await ask("resultHashOf", id)).toBe(`0x${"00".repeat(31)}`)
    expect(await ask("requestIdOf", struct(of))).toBe(id)
  })

  test("gives a user request the id that its contents have off chain", async () => {
    const account = lower(world.chain.address(3))
    const of = await described({ kind: "user", account, transportKey: TRANSPORT_KEY, handles: await registered(3) })
    const { event } = await send(of)
    expect(event.args.requestId).toBe(requestIdOf(of))
    expect([event.args.kind, lower(event.args.account), event.args.transportKey]).toEqual([2n, account, TRANSPORT_KEY])
  })

  test("gives another id when anything that matters differs", async () => {
    const of = await described({ kind: "user", account: lower(world.chain.address(3)), transportKey: TRANSPORT_KEY })
    const variants: ReadonlyArray<Partial<DecryptionRequest>> = [
      {},
      { requester: lower(world.chain.address(1)) },
      { account: lower(world.chain.address(4)) },
      { epoch: 2 },
      { deadline: of.deadline + 1 },
      { callbackGas: 1 },
      { salt: randomHex(32) },
      { handles: [randomHex(32)] },
      { handles: [...of.handles, ...of.handles] },
      { transportKey: `0x98${"11".repeat(47)}` }
    ]
    const ids = await Promise.all(variants.map((change) => ask("requestIdOf", struct({ ...of, ...change }))))
    expect(ids).toEqual(variants.map((change) => requestIdOf({ ...of, ...change })))
    expect(new Set(ids).size).toBe(variants.length)
  })

  test("keeps the id of a request that a reorganisation moves to another block", async () => {
    const of = await described()
    const snapshot = await world.chain.rpc("evm_snapshot")
    const first = await send(of)
    await world.chain.rpc("evm_revert", snapshot)
    expect(await ask("statusOf", requestIdOf(of))).toBe(0n)
    await world.chain.rpc("anvil_mine", "0x3")
    const again = world.gateway.connect(await world.chain.provider.getSigner(0)) as Contract
    const receipt = await world.chain.mined(again.getFunction("requestPublic")(of.handles, of.deadline, 0, of.salt))
    expect(receipt.blockHash).not.toBe(first.receipt.blockHash)
    expect(receipt.logs[0]!.topics[1]).toBe(first.event.args.requestId)
    world.chain.account(0).reset()
  })

  test("refuses to be asked the same twice", async () => {
    const of = await described()
    await send(of)
    expect(await refusal("requestPublic", of.handles, of.deadline, 0, of.salt)).toEqual({
      name: "AlreadyRequested",
      args: [requestIdOf(of)]
    })
  })

  test("refuses no handles, 33 handles, one twice, and one nobody registered", async () => {
    const [first, second] = (await registered(2)) as [Hex, Hex]
    const until = await deadline()
    const names = []
    for (const handles of [[], Array.from({ length: 33 }, () => randomHex(32)), [first, second, first], [first, randomHex(32)]]) {
      names.push((await refusal("requestPublic", handles, until, 0, randomHex(32))).name)
    }
    expect(names).toEqual(["HandleCountOutOfRange", "HandleCountOutOfRange", "DuplicateHandle", "UnknownHandle"])
  })

  test("refuses a deadline that has passed or is more than 7 days ahead", async () => {
    const handles = await registered(1)
    const of = async (at: number) => (await refusal("requestPublic", handles, at, 0, randomHex(32))).name
    const now = await world.now()
    expect([await of(now), await of(now + 7 * DAY + 60), await of(now + 7 * DAY)]).toEqual([
      "DeadlineOutOfRange",
      "DeadlineOutOfRange",
      "none"
    ])
  })

  test("refuses a callback with more gas than the cap", async () => {
    const args = [await registered(1), await deadline()]
    expect((await refusal("requestPublic", ...args, 500_001, randomHex(32))).name).toBe("CallbackGasOutOfRange")
    expect((await refusal("requestPublic", ...args, 500_000, randomHex(32))).name).toBe("none")
  })

  test("refuses a user request for nobody or without a transport key", async () => {
    const [handles, until, salt] = [await registered(1), await deadline(), randomHex(32)]
    const account = world.chain.address(0)
    expect((await refusal("requestUser", handles, ZERO_ADDRESS, TRANSPORT_KEY, until, salt)).name).toBe("InvalidAccount")
    const identity = `0xc0${"00".repeat(47)}`
    const uncompressed = `0x17${"11".repeat(47)}`
    for (const key of ["0x", `${TRANSPORT_KEY}00`, identity, uncompressed]) {
      expect((await refusal("requestUser", handles, account, key, until, salt)).name).toBe("InvalidTransportKey")
    }
  })

  test("refuses handles of two epochs, of an unknown one, and of a retired one", async () => {
    const { blsVerifier } = world.deployment.addresses
    const second = committeeForChain(testCommittee("bls").committee, blsVerifier)
    const receipt = await world.chain.mined(world.committees.getFunction("register")(second))
    const epoch = Number(world.committees.interface.parseLog(receipt.logs[0]!)!.args.epoch)
    const [old, recent, unknown] = [await world.registered(), await world.registered(0, epoch), await world.registered(0, 77)]
    const until = await deadline()
    const name = async (...handles: ReadonlyArray<Hex>) => (await refusal("requestPublic", handles, until, 0, randomHex(32))).name
    expect(await name(old, recent)).toBe("MixedEpochs")
    expect(await name(unknown)).toBe("EpochNotActive")
    expect(await name(recent)).toBe("none")
    await world.chain.mined(world.committees.getFunction("retire")(epoch))
    expect(await name(recent)).toBe("EpochNotActive")
    expect((await inspected(await described({ handles: [recent], epoch }))).denial).toBe(3n)
  })

  test("inspects a public request: status, ciphertexts and permission in one answer", async () => {
    const of = await described({ handles: await registered(2) })
    const [first, second] = of.handles
    expect(await inspected(of)).toMatchObject({ requestId: requestIdOf(of), status: 0n, allowed: false, denial: 4n })
    await send(of)
    await world.chain.mined(world.list.getFunction("allowForDecryption")(first))
    expect(await inspected(of)).toMatchObject({ status: 1n, allowed: false, denial: 4n })
    await world.chain.mined(world.list.getFunction("allowForDecryption")(second))
    const { blockTimestamp, digests, sizes, ...rest } = await inspected(of)
    expect(rest).toEqual({ requestId: requestIdOf(of), status: 1n, allowed: true, denial: 0n })
    expect(blockTimestamp).toBe(BigInt(await world.now()))
    const records = await Promise.all(of.handles.map((handle) => world.registry.getFunction("recordOf")(handle)))
    expect(digests).toEqual(records.map((record) => record.digest))
    expect(sizes).toEqual([300n, 300n])
  })

  test("inspects a user request: the account's permission, and the requester's right to use it", async () => {
    const [account, requester] = [lower(world.chain.address(5)), lower(world.chain.address(6))]
    const [handle] = (await registered(1)) as [Hex]
    const own = await described({ kind: "user", requester: account, account, transportKey: TRANSPORT_KEY, handles: [handle] })
    expect(await inspected(own)).toMatchObject({ allowed: false, denial: 5n })
    await world.chain.mined(world.list.getFunction("allow")(handle, account))
    expect(await inspected(own)).toMatchObject({ allowed: true, denial: 0n })

    const delegated = { ...own, requester }
    expect(await inspected(delegated)).toMatchObject({ allowed: false, denial: 6n })
    const asAccount = world.list.connect(world.chain.account(5)) as Contract
    await world.chain.mined(asAccount.getFunction("delegate")(requester, await deadline()))
    expect(await inspected(delegated)).toMatchObject({ allowed: true, denial: 0n })
    await world.chain.mined(world.list.getFunction("revoke")(handle, account))
    expect(await inspected(delegated)).toMatchObject({ allowed: false, denial: 5n })
  })

  test("inspects what nobody registered or asked for without reverting", async () => {
    const unknown = await described({ handles: [randomHex(32)] })
    expect(await inspected(unknown)).toMatchObject({ status: 0n, allowed: false, denial: 1n, sizes: [0n] })
    expect(await inspected(await described({ epoch: 44 }))).toMatchObject({ denial: 3n })
    expect(await inspected(await described(), 9)).toMatchObject({ denial: 7n })
  })
})
