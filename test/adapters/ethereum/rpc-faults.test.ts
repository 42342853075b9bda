/**
 * An endpoint that is silent, slow, noisy or overloaded: every question fails with `ChainUnavailable`, in time, none gets a wrong
 * answer, and the same adapters work again as soon as the endpoint does.
 */
import { Effect } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { makeRpc, type Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import { CALL_POLICIES } from "../../../src/resilience/call-policy.ts"
import { type Fault, startRpcProxy } from "../../support/rpc-proxy.ts"
import { eventually } from "../../support/eventually.ts"
import { EthereumWorld } from "./ethereum-world.ts"
import { askAll, type Answers, questionsTo, stage, type Staged } from "./questions.ts"

const RESPONSE_MS_MAX = 250
/** For a machine that is busy with other tests. */
const SLACK_MS = 1_500

const limitExceeded = { code: -32_005, message: "daily request count exceeded, request rate limited" }

const everyAnswer = (change: (answer: { readonly id: number | null }) => unknown): Fault => ({
  type: "answers",
  change: (answers) => answers.map(change)
})

const blockNotFound = { code: -32_000, message: "header not found" }

const FAULTS: Readonly<Record<string, Fault>> = {
  "never answers": { type: "hangs" },
  "answers too late": { type: "delay", ms: RESPONSE_MS_MAX * 2 },
  "drips bytes and never ends": { type: "drips", everyMs: 20 },
  "closes the connection before it answers": { type: "closes", when: "before the answer" },
  "closes the connection within its answer": { type: "closes", when: "within the answer" },
  "is rate limiting (429)": { type: "status", code: 429 },
  "has an internal error (500)": { type: "status", code: 500 },
  "is behind a gateway that is down (502, HTML)": { type: "status", code: 502, body: "<html>Bad gateway</html>" },
  "redirects": { type: "status", code: 302 },
  "says garbage": { type: "says", text: "<html>welcome</html>" },
  "says nothing": { type: "says", text: "" },
  "says null": { type: "says", text: "null" },
  "says an empty list": { type: "says", text: "[]" },
  "says an empty object": { type: "says", text: "{}" },
  "says a list of nothing": { type: "says", text: "[null, 1, \"x\"]" },
  "says an error that answers nobody": { type: "says", text: JSON.stringify({ jsonrpc: "2.0", id: null, error: limitExceeded }) },
  "truncates its JSON": { type: "truncates" },
  "answers under other ids": everyAnswer((answer) => ({ ...answer, id: Number(answer.id) + 1_000_000 })),
  "answers without a result": everyAnswer(({ id }) => ({ id })),
  "answers every call with a rate limit": everyAnswer(({ id }) => ({ id, error: limitExceeded })),
  "answers every call with an unknown block": everyAnswer(({ id }) => ({ id, error: blockNotFound })),
  "answers every call with an error without words": everyAnswer(({ id }) => ({ id, error: null }))
}

let world: EthereumWorld
let staged: Staged
let rpc: Rpc
let honest: Answers

beforeAll(async () => {
  world = await EthereumWorld.start()
  staged = await stage(world)
  rpc = await world.rpc({ responseMsMax: RESPONSE_MS_MAX, policy: { ...CALL_POLICIES.rpc, restMs: 20, restMsMax: 50 } })
  const unhurried = await world.rpc()
  honest = await askAll(await questionsTo(world, unhurried, staged))
})
afterEach(() => world.proxy.misbehave())
afterAll(() => world.stop())

test("an honest endpoint answers everything", () => {
  expect(Object.entries(honest).filter(([, answer]) => typeof answer === "string" && /^[A-Z]/.test(answer))).toEqual([])
})

describe.each(Object.entries(FAULTS))("an endpoint that %s", (_name, fault) => {
  test("is unavailable for every question, in time, and answers all of them when it is well again", async () => {
    const questions = await questionsTo(world, rpc, staged)
    world.proxy.misbehave(fault)
    const from = performance.now()
    const answers = await askAll(questions)
    expect(performance.now() - from).toBeLessThan(2 * RESPONSE_MS_MAX + SLACK_MS)
    expect(answers).toEqual(Object.fromEntries(Object.keys(questions).map((name) => [name, "ChainUnavailable"])))

    world.proxy.misbehave()
    // Whatever is still under way from before may fail once more; nothing has to be restarted.
    await eventually("it answers again", async () => {
      const again = await askAll(questions)
      return !Object.values(again).includes("ChainUnavailable") && (expect(again).toEqual(honest), true)
    })
  })
})

test("an endpoint that is not there is unavailable, and used again once it is", async () => {
  const first = await startRpcProxy(world.world.chain.url)
  const { port } = new URL(first.url)
  await first.close()
  const ask = Effect.gen(function* () {
    const rpc = yield* makeRpc(first.url, world.contracts.chainId, { responseMsMax: RESPONSE_MS_MAX })
    expect((yield* Effect.flip(rpc.block("latest")))._tag).toBe("ChainUnavailable")
    const second = yield* Effect.promise(() => startRpcProxy(world.world.chain.url, Number(port)))
    const block = yield* rpc.block("latest")
    yield* Effect.promise(() => second.close())
    return block
  })
  expect(await Effect.runPromise(Effect.scoped(ask))).toMatchObject({ number: (await world.head()).blockNumber })
})

test("a batch that is answered out of order is understood", async () => {
  const questions = await questionsTo(world, rpc, staged)
  world.proxy.misbehave({ type: "answers", change: (answers) => answers.toReversed() })
  expect(await askAll(questions)).toEqual(honest)
})

test("a batch that is answered in part fails in part, and nobody gets what was another's", async () => {
  const questions = await questionsTo(world, rpc, staged)
  world.proxy.misbehave({ type: "answers", change: (answers) => answers.filter((_, index) => index % 2 === 0) })
  const answers = await askAll(questions)
  for (const [name, answer] of Object.entries(answers)) {
    if (answer !== "ChainUnavailable") expect({ [name]: answer }).toEqual({ [name]: honest[name] })
  }
  expect(Object.values(answers).filter((answer) => answer === "ChainUnavailable").length).toBeGreaterThan(0)
})

test("what it says of a failure names the call and the reason, and never the endpoint's URL with its key", async () => {
  for (const name of ["is rate limiting (429)", "says garbage", "never answers", "truncates its JSON"]) {
    world.proxy.misbehave(FAULTS[name])
    const error = await Effect.runPromise(Effect.flip(rpc.block("latest")))
    expect(error.doing).toBe("eth_getBlockByNumber")
    expect(String(error.cause)).not.toBe("")
    expect(`${error.message} ${JSON.stringify(error)} ${String(error.cause)} ${error.stack}`).not.toContain("an-api-key")
  }
})

test("an endpoint that hangs is left alone after some calls, and then costs nobody any time", async () => {
  const hasty = await world.rpc({ responseMsMax: RESPONSE_MS_MAX, policy: { ...CALL_POLICIES.rpc, restMs: 60_000, restMsMax: 60_000 } })
  world.proxy.misbehave({ type: "hangs" })
  const questions = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`${index}`, hasty.block("latest")]))
  await askAll(questions)
  const from = performance.now()
  expect(Object.values(await askAll(questions))).toEqual(Array.from({ length: 8 }, () => "ChainUnavailable"))
  expect(performance.now() - from).toBeLessThan(RESPONSE_MS_MAX)
  const refused = await Effect.runPromise(Effect.flip(hasty.block("latest")))
  expect(String(refused.cause)).toMatch(/is left alone for \d+ ms/)
})

test("a call that is given up leaves no socket behind", async () => {
  world.proxy.misbehave({ type: "hangs" })
  const before = world.proxy.openSockets()
  await askAll(Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`${index}`, rpc.block("latest")])))
  await eventually("the sockets are gone", () => world.proxy.openSockets() <= before)
})
