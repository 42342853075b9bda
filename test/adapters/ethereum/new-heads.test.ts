/** Announcements of new blocks, on anvil's WebSocket and through a wire that can be cut or go silent: they come back by themselves. */
import { Effect, Exit, Scope } from "effect"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { makeNewHeads } from "../../../src/adapters/ethereum/new-heads.ts"
import { startTestChain, type TestChain } from "../../support/anvil.ts"
import { eventually } from "../../support/eventually.ts"

const QUICKLY = { quietMs: 100, answerMsMax: 100, reconnect: { firstMs: 20, longestMs: 50 } }

let chain: TestChain
let scope: Scope.Closeable
const wires = new Set<Socket>()
/** While true, whatever arrives at the wire is lost without any error. */
let isSilent = false
let connections = 0
/** Pieces of what the listener said. */
let asked = 0
const wire = createServer((client) => {
  connections += 1
  const server = connect(Number(new URL(chain.url).port), "127.0.0.1")
  client.on("data", () => (asked += 1))
  for (const [from, to] of [[client, server], [server, client]] as const) {
    wires.add(from)
    from.on("error", () => from.destroy())
    from.on("close", () => to.destroy())
    from.on("data", (bytes) => void (isSilent || to.write(bytes)))
  }
})
const cut = () => {
  for (const socket of wires) socket.destroy()
  wires.clear()
}

beforeAll(async () => {
  chain = await startTestChain()
  wire.listen(0, "127.0.0.1")
  await once(wire, "listening")
})
afterEach(async () => {
  isSilent = false
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
afterAll(async () => {
  cut()
  wire.close()
  await chain.stop()
})

/** Counts how often it rings. */
const listening = async () => {
  const heard = { heads: 0, isSubscribed: false }
  scope = await Effect.runPromise(Scope.make())
  const url = `ws://127.0.0.1:${(wire.address() as AddressInfo).port}`
  const listen = Effect.gen(function* () {
    const next = yield* makeNewHeads(url, { ...QUICKLY, onChange: (isSubscribed) => void (heard.isSubscribed = isSubscribed) })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(next, Effect.sync(() => void (heard.heads += 1)))))
  })
  await Effect.runPromise(Scope.provide(listen, scope))
  return heard
}
const mine = () => chain.rpc("evm_mine")
const rings = async (heard: { readonly heads: number }, what: string) => {
  const before = heard.heads
  await eventually(what, async () => (await mine(), heard.heads > before))
}

test("a block rings", async () => {
  const heard = await listening()
  await eventually("it is subscribed", () => heard.isSubscribed)
  await rings(heard, "a block rings")
})

test("a connection that is cut is made again, and rings again", async () => {
  const heard = await listening()
  await eventually("it is subscribed", () => heard.isSubscribed)
  cut()
  await eventually("it has noticed", () => !heard.isSubscribed)
  await rings(heard, "a block rings again")
})

test("a connection that has gone silent without an error is given up and made again", async () => {
  const heard = await listening()
  await eventually("it is subscribed", () => heard.isSubscribed)
  const before = connections
  isSilent = true
  await eventually("it has tried again", () => connections > before)
  expect(heard.isSubscribed).toBe(false)
  isSilent = false
  await rings(heard, "a block rings again")
})

test("a chain that mines nothing keeps its connection", async () => {
  const heard = await listening()
  await eventually("it is subscribed", () => heard.isSubscribed)
  const before = connections
  const questions = asked + 3
  await eventually("the chain has been asked several times whether it lives", () => asked >= questions)
  expect(connections).toBe(before)
})
