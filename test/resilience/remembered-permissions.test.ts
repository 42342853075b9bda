/** A remembered yes is what the chain would say at that block, and the block is the one that would be asked: whatever is granted, taken back,
 * reorganised, and asked at the same time. */
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { accessListLayer } from "../../src/adapters/ethereum/access-list.layer.ts"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { AccessList, type FinalityPolicy, type Permission } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { aRequest, someHex } from "../journey/a-request.ts"
import { ANSWER_MS, type Block, type Change, denialAt, finalBlocks, PermissionChain, statusAt } from "./permission-chain.ts"

const [ALICE, BOB] = [someHex(20), someHex(20)]
const [ONE, OTHER] = [someHex(32), someHex(32)]
const GATEWAY = aRequest().gateway
const CONTRACTS = { chainId: 31_337n, decryptionGateway: GATEWAY, startBlock: 0 } as Contracts
const RULES = [`public ${ONE}`, `public ${OTHER}`, `user ${ONE} ${ALICE}`, `acts ${BOB} ${ALICE}`]
const NEVER = 2_000_000_000
/** Between them they ask the same of the list, almost the same, and something else. */
const REQUESTS: ReadonlyArray<DecryptionRequest> = [
  aRequest({ handles: [ONE], deadline: NEVER }),
  aRequest({ handles: [ONE], deadline: NEVER, requester: BOB }),
  aRequest({ handles: [ONE], deadline: 66 }),
  aRequest({ handles: [ONE, OTHER], deadline: NEVER }),
  aRequest({ handles: [OTHER], deadline: NEVER }),
  aRequest({ kind: "user", handles: [ONE], requester: ALICE, account: ALICE, deadline: NEVER }),
  aRequest({ kind: "user", handles: [ONE], requester: ALICE, account: ALICE, deadline: NEVER }),
  aRequest({ kind: "user", handles: [ONE], requester: BOB, account: ALICE, deadline: NEVER }),
  aRequest({ kind: "user", handles: [ONE], requester: BOB, account: BOB, deadline: NEVER })
]
const IDS = REQUESTS.map(requestIdOf)
/** How long the newest final block may be remembered. */
const FINAL_BLOCK_MS = 50

/** Without any memory. A fulfilment is not found on this chain, so it is not told of. */
const saidAt = (block: Block, request: DecryptionRequest): Omit<Permission, "block"> & { readonly reason?: string } => {
  const denial = denialAt(block, request)
  if (statusAt(block, requestIdOf(request)) !== 1) return { type: "unknown" }
  if (block.header.timestamp > request.deadline) return { type: "expired" }
  return denial === 0 ? { type: "allowed" } : { type: "denied", reason: ["not-public", "not-allowed", "not-delegated"][denial - 4]! }
}

type Step =
  | { readonly type: "mine"; readonly changes: ReadonlyArray<Change> }
  | { readonly type: "reorganise"; readonly depth: number; readonly changes: ReadonlyArray<Change> }
  | { readonly type: "pass"; readonly ms: number }
  | { readonly type: "ask"; readonly which: ReadonlyArray<number> }

const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc.constantFrom(...RULES).map((rule): Change => ({ type: "grant", rule })),
  fc.constantFrom(...RULES).map((rule): Change => ({ type: "revoke", rule })),
  fc.constantFrom(...IDS).map((id): Change => ({ type: "request", id })),
  fc.constantFrom(...IDS).map((id): Change => ({ type: "fulfil", id }))
)
const anyChanges = fc.array(anyChange, { maxLength: 6 })
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant("mine" as const), changes: anyChanges }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reorganise" as const), depth: fc.nat(3), changes: anyChanges }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.constantFrom(1, 4, 20, 60, 60) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("ask" as const), which: fc.array(fc.nat(REQUESTS.length - 1), { minLength: 1, maxLength: 12 }) }) }
)
const anyPolicy = fc.constantFrom<FinalityPolicy>({ type: "latest" }, { type: "confirmations", blocks: 2 }, { type: "finalized" })
const EVERYTHING: ReadonlyArray<Change> = [...RULES.map((rule) => ({ type: "grant", rule }) as const), ...IDS.map((id) => ({ type: "request", id }) as const)]

const remembering = <A>(chain: PermissionChain, policy: FinalityPolicy, story: Effect.Effect<A, unknown, AccessList>) => {
  const layer = Layer.merge(accessListLayer(chain.rpc, CONTRACTS, policy), TestClock.layer())
  return Effect.runPromise(story.pipe(Effect.provide(layer)))
}

const askFor = Effect.fnUntraced(function* (which: number) {
  const list = yield* AccessList
  const askedAtMs = yield* Clock.currentTimeMillis
  const permission = yield* list.permission(IDS[which]!, REQUESTS[which]!)
  return { which, permission, askedAtMs, toldAtMs: yield* Clock.currentTimeMillis }
})

test("every answer is what the chain says at the recorded block, and that block was the newest final one when it was asked", async () => {
  const tally = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(anyPolicy, fc.boolean(), fc.array(anyStep, { minLength: 20, maxLength: 40, size: "max" }), async (policy, knowsPrograms, steps) => {
      const chain = new PermissionChain(REQUESTS, { knowsPrograms })
      chain.mine(EVERYTHING)
      const finals = finalBlocks(chain, policy)
      const story = Effect.gen(function* () {
        const asks: Array<Fiber.Fiber<Effect.Success<ReturnType<typeof askFor>>, unknown>> = []
        yield* finals.note
        for (const step of steps) {
          if (step.type === "mine") chain.mine(step.changes)
          else if (step.type === "reorganise") chain.reorganise(step.depth, step.changes)
          else if (step.type === "pass") yield* TestClock.adjust(step.ms)
          else for (const which of step.which) asks.push(yield* Effect.forkChild(askFor(which)))
          yield* finals.note
        }
        yield* TestClock.adjust(1_000)
        return yield* Effect.forEach(asks, Fiber.join)
      })
      const told = await remembering(chain, policy, story)
      for (const { which, permission, askedAtMs, toldAtMs } of told) {
        const { block, ...said } = permission
        expect(said).toEqual(saidAt(chain.at(block.blockHash), REQUESTS[which]!))
        // In the middle of a look a reorganisation may make it one block more or less.
        const heights = finals.between(askedAtMs - FINAL_BLOCK_MS - 2 * ANSWER_MS, toldAtMs).map(({ header }) => Math.abs(header.number - block.blockNumber))
        expect(Math.min(...heights)).toBeLessThanOrEqual(1)
        tally.set(said.type, (tally.get(said.type) ?? 0) + 1)
      }
      tally.set("remembered", (tally.get("remembered") ?? 0) + chain.asked.filter((what) => what === "statuses").length)
    }),
    { numRuns: 15 }
  )
  for (const what of ["allowed", "denied", "unknown", "expired", "remembered"]) expect(tally.get(what) ?? 0, what).toBeGreaterThan(0)
})

describe("of a herd that asks the same at one block", () => {
  const HERD = Array.from({ length: 300 }, () => aRequest({ handles: [ONE], deadline: NEVER }))
  const asksOf = (knowsPrograms: boolean, isGranted: boolean) => {
    const chain = new PermissionChain(HERD, { knowsPrograms })
    chain.mine([...(isGranted ? [{ type: "grant", rule: RULES[0]! } as const] : []), ...HERD.map((request) => ({ type: "request", id: requestIdOf(request) }) as const)])
    const all = AccessList.use((list) =>
      Effect.forEach(HERD, (request) => list.permission(requestIdOf(request), request), { concurrency: "unbounded" })
    )
    const story = Effect.gen(function* () {
      const herd = yield* Effect.forkChild(all)
      yield* TestClock.adjust(100)
      return yield* Fiber.join(herd)
    })
    return remembering(chain, { type: "latest" }, story).then((told) => {
      const calls = (what: string) => chain.asked.filter((one) => one === what).length
      return { types: new Set(told.map(({ type }) => type)), inspect: calls("inspect"), statuses: calls("statuses"), block: calls("block") }
    })
  }

  test("the list is asked once, and the statuses of all of them in two calls", async () => {
    expect(await asksOf(true, true)).toEqual({ types: new Set(["allowed"]), inspect: 1, statuses: 2, block: 1 })
  })

  test("each is asked for by itself where the endpoint does not know such calls, which is tried once", async () => {
    const { types, inspect, statuses } = await asksOf(false, true)
    expect(types).toEqual(new Set(["allowed"]))
    expect(inspect).toBe(300)
    expect(statuses).toBeLessThanOrEqual(2)
  })

  test("each hears its own no from the chain", async () => {
    expect(await asksOf(true, false)).toMatchObject({ types: new Set(["denied"]), inspect: 300, statuses: 0 })
  })
})

test("a permission that is taken back in a later block is a no as soon as that block is the one to ask", async () => {
  const chain = new PermissionChain(REQUESTS)
  chain.mine(EVERYTHING)
  const story = Effect.gen(function* () {
    const answers: Array<string> = []
    for (const changes of [[], [{ type: "revoke", rule: RULES[0]! } as const], [{ type: "grant", rule: RULES[0]! } as const]]) {
      chain.mine(changes)
      yield* TestClock.adjust(FINAL_BLOCK_MS)
      const both = yield* Effect.forkChild(Effect.all([askFor(0), askFor(1)], { concurrency: "unbounded" }))
      yield* TestClock.adjust(100)
      answers.push(...(yield* Fiber.join(both)).map(({ permission }) => permission.type))
    }
    return answers
  })
  expect(await remembering(chain, { type: "latest" }, story)).toEqual(["allowed", "allowed", "denied", "denied", "allowed", "allowed"])
})
