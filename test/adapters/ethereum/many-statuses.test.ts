/** The program that asks for many statuses, on a real EVM; and what a herd of requests costs with it. */
import { Effect } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { accessListLayer } from "../../../src/adapters/ethereum/access-list.layer.ts"
import { gatewayInterface } from "../../../src/adapters/ethereum/inspection.ts"
import { STATUSES_MAX, statusesAt } from "../../../src/adapters/ethereum/many-statuses.ts"
import { requireBlock, type Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import { requestIdOf } from "../../../src/domain/request.ts"
import { AccessList } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import { randomHex } from "../../contracts/world.ts"
import { type Asked, EthereumWorld } from "./ethereum-world.ts"

const HERD = 20
let world: EthereumWorld
let rpc: Rpc
let herd: ReadonlyArray<Asked>
let closed: Asked

beforeAll(async () => {
  world = await EthereumWorld.start()
  rpc = await world.rpc()
  const handles = [await world.openHandle()]
  const asked = await Promise.all(Array.from({ length: HERD }, () => world.factsOf(handles)))
  const { caller } = await world.inOneTransaction(
    asked.map(({ facts }) => gatewayInterface.encodeFunctionData("requestPublic", [facts.handles, facts.deadline, 0, facts.salt]))
  )
  herd = asked.map(({ facts }) => {
    const made = { ...facts, requester: caller }
    return { id: requestIdOf(made), facts: made }
  })
  closed = await world.requested([await world.register()])
  await world.fulfil(herd[0]!.id)
})
afterAll(() => world.stop())

const atHead = <A, E>(ask: (head: Effect.Success<ReturnType<typeof requireBlock>>) => Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.flatMap(requireBlock(rpc, "latest"), ask))

test("each status is told at the block that was asked, unknown, requested and fulfilled, in one call", async () => {
  const [done, open, nobodys] = [herd[0]!.id, herd[1]!.id, randomHex(32)]
  const statuses = await atHead((head) => statusesAt(rpc, world.contracts.decryptionGateway, [nobodys, done, open], head))
  expect(Object.fromEntries(statuses)).toEqual({ [nobodys]: "unknown", [done]: "fulfilled", [open]: "requested" })
  const before = await Effect.runPromise(requireBlock(rpc, { number: (await world.head()).blockNumber - 1 }))
  const then = await Effect.runPromise(statusesAt(rpc, world.contracts.decryptionGateway, [done], before))
  expect(then.get(done)).toBe("requested")
})

test("as many as are ever asked for at once are answered", async () => {
  const ids = Array.from({ length: STATUSES_MAX }, (_, index): Hex => herd[index % HERD]?.id ?? randomHex(32))
  const unique = [...new Set(ids), ...Array.from({ length: STATUSES_MAX - HERD }, () => randomHex(32))]
  const statuses = await atHead((head) => statusesAt(rpc, world.contracts.decryptionGateway, unique, head))
  expect(unique.filter((id) => statuses.get(id) === "requested")).toHaveLength(HERD - 1)
})

test("where there is no contract nothing is made up", async () => {
  const failure = await atHead((head) => Effect.flip(statusesAt(rpc, world.address(3), [herd[0]!.id], head)))
  expect(failure).toMatchObject({ _tag: "ChainUnavailable", fate: "retry" })
})

test("a herd is answered as each would be alone, and costs three calls and one for whoever is refused", async () => {
  const all = [...herd, closed]
  const open = () => world.open(AccessList, accessListLayer(rpc, world.contracts, { type: "latest" }))
  const alone = []
  for (const { id, facts } of all) alone.push(await Effect.runPromise((await open()).permission(id, facts)))
  const list = await open()
  world.proxy.asked.length = 0
  const together = await Effect.runPromise(Effect.forEach(all, ({ id, facts }) => list.permission(id, facts), { concurrency: "unbounded" }))
  expect(together).toEqual(alone)
  expect(new Set(together.map(({ type }) => type))).toEqual(new Set(["fulfilled", "allowed", "denied"]))
  // The first of the herd asks the list; its own status says that it is fulfilled, which is then looked up.
  expect(world.proxy.asked.filter((method) => method === "eth_call")).toHaveLength(4)
})
