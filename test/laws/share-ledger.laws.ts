/** What every ShareLedger promises: the budget holds whoever asks at once, one answer for each node, no secrets after the end. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import fc from "fast-check"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { anEnd, born, ownPartition, random32 } from "../support/ledger-world.ts"
import { aPartition } from "./request-ledger.laws.ts"

const bytes = (length: number) => new Uint8Array(randomBytes(length))

const anAnswer = (requestId: RequestId, nodeId: number): ShareAnswer => ({
  requestId,
  epoch: 3,
  nodeId,
  shares: [bytes(48), bytes(48)],
  signature: bytes(65)
})

export const shareLedgerLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  const given = Effect.fnUntraced(function*() {
    const partition = aPartition()
    const lease = yield* ownPartition(partition, "coordinator-1")
    const [request] = yield* born(1, { partition })
    assert(request !== undefined)
    return { request, id: request.id, lease, shares: yield* ShareLedger, ledger: yield* RequestLedger }
  })

  const granted = (asked: ReadonlyMap<RequestId, ReadonlyArray<number>>, id: RequestId) => asked.get(id) ?? []

  law("grants nodes in the order asked, up to the budget", Effect.gen(function*() {
    const { shares } = yield* given()
    const id = random32()
    const ask = (nodes: ReadonlyArray<number>, budget: number) =>
      Effect.map(shares.intend([{ requestId: id, nodes, budget }]), (asked) => granted(asked, id))
    assert.deepEqual(yield* ask([3, 1, 2], 1), [3])
    assert.deepEqual(yield* ask([1, 2], 1), [])
    assert.deepEqual(yield* ask([1, 3], 1), [3])
    assert.deepEqual(yield* ask([1, 2, 3], 3), [1, 2, 3])
    assert.deepEqual(yield* ask([5], 1), [])
    assert.deepEqual(yield* ask([2, 5], 0), [2])
  }))

  test("never grants more distinct nodes than the largest budget named, whoever asks at once, in however many processes", async () => {
    const other = world().another()
    const asks = fc.array(
      fc.record({ nodes: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }), budget: fc.integer({ min: 0, max: 5 }) }),
      { minLength: 2, maxLength: 12 }
    )
    await fc.assert(
      fc.asyncProperty(asks, async (all) => {
        const id = random32()
        const answers = await Promise.all(
          all.map(({ nodes, budget }, index) =>
            (index % 2 === 0 ? world() : other).run(
              Effect.flatMap(ShareLedger, (shares) => shares.intend([{ requestId: id, nodes, budget }]))
            )
          )
        )
        const distinct = new Set(answers.flatMap((answer) => granted(answer, id)))
        assert(distinct.size <= Math.max(...all.map(({ budget }) => budget)))
        assert.deepEqual(new Set(await world().behind.askedNodes(id)), distinct)
      }),
      { numRuns: 25 }
    )
    await other.close()
  })

  test("has a database that refuses to exceed or to forget what was asked", async () => {
    const id = random32()
    await world().run(Effect.flatMap(ShareLedger, (shares) => shares.intend([{ requestId: id, nodes: [1, 2], budget: 2 }])))
    await assert.rejects(world().behind.setAskedNodes(id, [1, 2, 3]), { code: "23514" })
    await assert.rejects(world().behind.setAskedNodes(id, [1]), { code: "23001" })
    await assert.rejects(world().behind.deleteAsk(id), { code: "23001" })
    assert.deepEqual(await world().behind.askedNodes(id), [1, 2])
  })

  law("keeps the first answer of each node as it was", Effect.gen(function*() {
    const { id, shares } = yield* given()
    const [one, two] = [anAnswer(id, 1), anAnswer(id, 2)]
    yield* shares.keep([one, two])
    yield* shares.keep([anAnswer(id, 1)])
    assert.deepEqual(yield* shares.sharesOf([id, random32()]), new Map([[id, [one, two]]]))
  }))

  test("keeps nothing readable in the database, and another process with the same key reads it", async () => {
    const { id, answer } = await world().run(Effect.gen(function*() {
      const { id, shares } = yield* given()
      const answer = anAnswer(id, 4)
      yield* shares.keep([answer])
      return { id, answer }
    }))
    const [sealed] = await world().behind.sealedShares(id)
    assert(sealed !== undefined)
    for (const share of answer.shares) assert(!Buffer.from(sealed).includes(Buffer.from(share.subarray(0, 8))))
    const other = world().another()
    const read = await other.run(Effect.flatMap(ShareLedger, (shares) => shares.sharesOf([id])))
    assert.deepEqual(read.get(id), [answer])
    await other.close()
  })

  test("refuses a sealed share that was put into another row", async () => {
    const [from, to] = await world().run(Effect.gen(function*() {
      const [a, b] = [yield* given(), yield* given()]
      yield* a.shares.keep([anAnswer(a.id, 1), anAnswer(b.id, 1)])
      return [a.id, b.id] as const
    }))
    await world().behind.copySealedShare(from, to)
    const failure = await world().run(Effect.flatMap(ShareLedger, (shares) => Effect.flip(shares.sharesOf([to]))))
    assert.equal((failure.cause as { readonly _tag?: string })._tag, "SealRejected")
  })

  law("drops the answer of a node that lied, and keeps the first proof for ever", Effect.gen(function*() {
    const { id, shares } = yield* given()
    yield* shares.keep([anAnswer(id, 1), anAnswer(id, 2)])
    yield* shares.reject(id, 1, { proof: "first" })
    yield* shares.reject(id, 1, { proof: "second" })
    yield* shares.keep([anAnswer(id, 1)])
    assert.deepEqual((yield* shares.sharesOf([id])).get(id)?.map((answer) => answer.nodeId), [2])
    assert.deepEqual(yield* shares.rejectedNodes([id, random32()]), new Map([[id, [1]]]))
    assert.deepEqual(yield* shares.evidence(1), [{ proof: "first" }])
  }))

  law("forgets shares with the end of their request, and keeps none that come later", Effect.gen(function*() {
    const { id, request, lease, shares, ledger } = yield* given()
    yield* shares.keep([anAnswer(id, 1)])
    yield* ledger.save([anEnd(request, lease)], "worker-1")
    assert.deepEqual(yield* shares.sharesOf([id]), new Map())
    yield* shares.keep([anAnswer(id, 2)])
    assert.deepEqual(yield* shares.sharesOf([id]), new Map())
  }))

  law("leaves no share behind when the end and the answers come together", Effect.gen(function*() {
    for (let round = 0; round < 20; round += 1) {
      const { id, request, lease, shares, ledger } = yield* given()
      yield* Effect.all(
        [1, 2, 3].map((node) => shares.keep([anAnswer(id, node)])).concat(Effect.asVoid(ledger.save([anEnd(request, lease)], "worker-1"))),
        { concurrency: "unbounded" }
      )
      assert.deepEqual(yield* shares.sharesOf([id]), new Map())
    }
  }))
}
