/** What the client makes of an endpoint that lies, fails, or belongs to something else. */
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { JsonRpcProvider } from "ethers"
import { afterAll, beforeAll, expect, test } from "vitest"
import { connect, type Encrypted, type Fulfilled, TransportSecret } from "../../src/client/portcullis-client.ts"
import { gatewayInterface } from "../../src/client/deployment.ts"
import { fromHex, toHex, type Hex } from "../../src/domain/hex.ts"
import { resultHashOf } from "../../src/domain/response.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"
import { startCommitteeWorld, type CommitteeWorld } from "./committee-world.ts"
import { type Lie, LyingProvider } from "./lying-provider.ts"

const quick = { timeoutMs: 20_000, pollMs: 20 }
let world: CommitteeWorld
let encrypted: Encrypted
let requestId: Hex
beforeAll(async () => {
  world = await startCommitteeWorld("quorum")
  const owner = await world.clientOf(1)
  encrypted = await owner.encrypt(new TextEncoder().encode("the truth"))
  await owner.register(encrypted, ["store://main/x"])
  await owner.allowForDecryption(encrypted.handle)
  requestId = (await owner.requestPublic([encrypted.handle])).requestId
  await world.answer(requestId, [encrypted.ciphertext])
}, 60_000)
afterAll(() => world.stop())

const through = async (lie: Lie) => {
  const provider = new LyingProvider(world.chain.url, world.chain.chainId, lie)
  return connect({ provider, gateway: world.addresses.decryptionGateway })
}
const falseResult = encodeResult([new TextEncoder().encode("a lie")])
const falseLogs: Lie = async (method, _params, truth) => {
  const answer = await truth()
  return method === "eth_getLogs"
    ? (answer as ReadonlyArray<object>).map((log) => ({ ...log, data: toHex(falseResult) }))
    : answer
}

test("the truth is believed, and the quorum's signatures are proved", async () => {
  const client = await through((_method, _params, truth) => truth())
  const result = (await client.waitForResult(requestId, quick)) as Fulfilled
  expect(new TextDecoder().decode(result.items[0])).toBe("the truth")
  await client.verifyResult(result)
  const [first, second, third] = world.committee.nodes
  const otherSigners = {
    ...world.committee,
    nodes: [{ ...first!, identity: third!.identity }, second!, { ...third!, identity: first!.identity }].slice(0, 2)
  }
  await expect(client.verifyResult(result, { committee: otherSigners })).rejects.toMatchObject({
    reason: "the attestation is not the committee's"
  })
})

test("a log that contradicts the contract's record is not believed", async () => {
  const client = await through(falseLogs)
  await expect(client.waitForResult(requestId, quick)).rejects.toMatchObject({
    _tag: "ResultRejected",
    reason: "not the result that the contract has recorded"
  })
})

test("an endpoint that invents the log and the record is found out by the attestation", async () => {
  const { selector } = gatewayInterface.getFunction("resultHashOf")!
  const falseRecord = `${resultHashOf(falseResult).slice(0, -2)}00`
  const client = await through((method, params, truth) => {
    const asksForRecord = method === "eth_call" && (params[0] as { readonly data: string }).data.startsWith(selector)
    return asksForRecord ? Promise.resolve(falseRecord) : falseLogs(method, params, truth)
  })
  const result = (await client.waitForResult(requestId, quick)) as Fulfilled
  expect(new TextDecoder().decode(result.items[0])).toBe("a lie")
  await expect(client.verifyResult(result)).rejects.toMatchObject({ reason: "the attestation is not for this result" })
})

test("answers that cannot be decoded are the endpoint's fault, whatever they are", async () => {
  const owner = await world.clientOf(1)
  const result = (await owner.waitForResult(requestId, quick)) as Fulfilled
  const garbled = await through(async (method, _params, truth) => {
    const answer = await truth()
    if (method === "eth_getTransactionByHash")
      return { ...(answer as object), input: `${(answer as { input: string }).input.slice(0, 200)}00` }
    if (method === "eth_getLogs") return (answer as ReadonlyArray<object>).map((log) => ({ ...log, data: "0x1234" }))
    return answer
  })
  await expect(garbled.verifyResult(result)).rejects.toMatchObject({
    reason: "its transaction carries no attestation that can be read"
  })
  await expect(garbled.openUserResult(result, TransportSecret.generate(), [])).rejects.toMatchObject({
    reason: "the request is not on this chain"
  })
  let isLying = false
  const answersNonsense = await through((method, _params, truth) =>
    method === "eth_call" && isLying ? Promise.resolve("0x12") : truth()
  )
  await answersNonsense.committee()
  isLying = true
  await expect(answersNonsense.committee()).rejects.toMatchObject({ _tag: "ChainUnreachable" })
})

test("an endpoint that fails now and then costs time, one that keeps failing is reported", async () => {
  let failuresLeft = 0
  const flaky = await through((_method, _params, truth) => (failuresLeft-- > 0 ? Promise.reject(new Error("503")) : truth()))
  failuresLeft = 4
  expect((await flaky.waitForResult(requestId, quick)).type).toBe("fulfilled")
  let isDown = false
  const failing = await through((_method, _params, truth) => (isDown ? Promise.reject(new Error("503")) : truth()))
  isDown = true
  await expect(failing.waitForResult(requestId, quick)).rejects.toMatchObject({ _tag: "ChainUnreachable", fate: "retry" })
})

test("an address without a gateway, a stranger's contract and a dead endpoint are told apart", async () => {
  const { provider } = world.chain
  await expect(connect({ provider, gateway: world.chain.address(5) })).rejects.toMatchObject({ _tag: "NotAGateway" })
  await expect(connect({ provider, gateway: world.addresses.accessList })).rejects.toMatchObject({ _tag: "NotAGateway" })
  await expect(connect({ provider, gateway: "portcullis.eth" })).rejects.toMatchObject({
    _tag: "InputRejected",
    argument: "gateway"
  })
  const reserved = createServer().listen(0, "127.0.0.1")
  await new Promise((listening) => reserved.once("listening", listening))
  const { port } = reserved.address() as AddressInfo
  await new Promise((closed) => reserved.close(closed))
  const dead = new JsonRpcProvider(`http://127.0.0.1:${port}`, 1, { staticNetwork: true })
  await expect(connect({ provider: dead, gateway: world.addresses.decryptionGateway })).rejects.toMatchObject({
    _tag: "ChainUnreachable"
  })
  dead.destroy()
})

test("a key that the endpoint makes up, and that is no point, encrypts nothing", async () => {
  const key = world.committee.decryptionKey.slice(2)
  const noPoint = toHex(fromHex(world.committee.decryptionKey).with(95, 0xff).with(94, 0xff)).slice(2)
  const client = await through(async (_method, _params, truth) => {
    const answer = await truth()
    return typeof answer === "string" ? answer.replaceAll(key, noPoint) : answer
  })
  await expect(client.encrypt(new Uint8Array(1), { owner: encrypted.owner })).rejects.toMatchObject({
    _tag: "CommitteeUnusable",
    epoch: 1
  })
})
